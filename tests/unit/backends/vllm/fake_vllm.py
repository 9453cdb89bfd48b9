"""A vLLM server without a model: its wire form as 0.32 speaks it, over real sockets, and its faults."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class FakeVllm:
    """Answers with what `answer` makes of the prompt's ids, `per_chunk` ids at a time.

    `fault`: None, or how it fails: "busy" (429), "starting" (503), "too-long" and "bad" (400), "key" (401),
    "dead" (500), "cut" (the connection breaks after two chunks), "ends" (it ends there), "fails" (an error in
    the stream), "no-ids" (an old server), "garbage" (no JSON), "hangs" (nothing after two chunks), "late"
    (200, and then an error event with code 400 at once, as it refuses values of sampling), "reads" (no chunk
    before `go_on`).
    `bodies` records the requests, `keys` their Authorization, `left` counts answers their reader left.
    """

    def __init__(
        self,
        answer: Callable[[list[int]], Sequence[int]] = lambda _: range(100, 110),
        *,
        models: Sequence[str] = ("openai/gpt-oss-120b",),
        context_length: int | None = 131_072,
        tokenize: Callable[[str], list[int]] | None = None,
    ) -> None:
        self.models = models
        self.context_length = context_length
        self.tokenize = tokenize
        self._first_answer = answer
        self.under_way = 0
        self.reset()
        app = Starlette(
            routes=[
                Route("/v1/models", self._list),
                Route("/v1/completions", self._complete, methods=["POST"]),
                Route("/tokenize", self._tokenize, methods=["POST"]),
            ]
        )
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def reset(self) -> None:
        """As new: no fault, nothing recorded."""
        self.answer = self._first_answer
        self.per_chunk = 1
        self.cached: int | None = 64
        self.fault: str | None = None
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.left = 0
        self.go_on = threading.Event()

    def __enter__(self) -> "FakeVllm":
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the server did not start"
            self._thread.join(0.01)
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive(), "the server did not stop"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    async def _list(self, request: Request) -> Response:
        self.keys.append(request.headers.get("authorization"))
        if self.fault == "key":
            return JSONResponse({"error": "Unauthorized"}, 401)
        known = {} if self.context_length is None else {"max_model_len": self.context_length}
        data = [{"id": name, "object": "model", "owned_by": "vllm", **known} for name in self.models]
        return JSONResponse({"object": "list", "data": data})

    async def _tokenize(self, request: Request) -> Response:
        if self.tokenize is None:
            return JSONResponse({"error": {"message": "Not Found", "code": 404}}, 404)
        ids = self.tokenize((await request.json())["prompt"])
        return JSONResponse({"count": len(ids), "max_model_len": self.context_length, "tokens": ids})

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        self.keys.append(request.headers.get("authorization"))
        if self.fault in _REFUSALS:
            status, message, headers = _REFUSALS[self.fault]
            error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
            return JSONResponse({"error": error}, status, headers=headers)
        return StreamingResponse(self._stream(body), media_type="text/event-stream")

    async def _stream(self, body: dict[str, Any]) -> AsyncGenerator[str, None]:
        ids, finish = _cut(self.answer(body["prompt"]), body)
        complete = False
        self.under_way += 1
        try:
            if self.fault == "late":
                complete = True
                message = "Requested sample logprobs of 50, which is greater than max allowed: 20"
                yield _event({"error": {"message": message, "type": "BadRequestError", "code": 400}})
                return
            while self.fault == "reads" and not self.go_on.is_set():
                await asyncio.sleep(0.01)
            for at in range(0, len(ids), self.per_chunk):
                if at >= 2 * self.per_chunk and self.fault not in (None, "reads"):
                    if self.fault == "ends":
                        complete = True
                        return
                    yield await self._fail()
                part = ids[at : at + self.per_chunk]
                last = at + self.per_chunk >= len(ids)
                yield _event({"choices": [self._choice(part, finish if last else None, body)]})
                await asyncio.sleep(0)
            complete = True
            if body.get("stream_options", {}).get("include_usage"):
                usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(ids)}
                if self.cached is not None:
                    usage["prompt_tokens_details"] = {"cached_tokens": self.cached}
                yield _event({"choices": [], "usage": usage})
            yield "data: [DONE]\n\n"
        finally:
            self.under_way -= 1
            self.left += not complete

    async def _fail(self) -> str:
        if self.fault == "cut":
            raise RuntimeError("the machine is gone")
        if self.fault == "fails":
            return _event(
                {"error": {"message": "EngineCore died", "type": "InternalServerError", "code": 500}}
            )
        if self.fault == "hangs":
            await asyncio.sleep(3600)
        return "data: {\n\n"  # garbage

    def _choice(self, ids: Sequence[int], finish: str | None, body: dict[str, Any]) -> dict[str, Any]:
        choice = {"index": 0, "text": "", "logprobs": None, "finish_reason": finish, "stop_reason": None}
        if self.fault == "no-ids":
            return choice | {"text": "words"}
        if body.get("return_token_ids"):
            choice |= {"token_ids": list(ids), "prompt_token_ids": None}
        if (n := body.get("logprobs")) is not None:
            assert body["return_tokens_as_token_ids"]
            # The sampled one first, then the n likeliest, as vLLM has them.
            top = [{f"token_id:{i}": -2.0} | {f"token_id:{j}": -1.0 - j / 8 for j in range(n)} for i in ids]
            choice["logprobs"] = {"token_logprobs": [-2.0 for _ in ids], "top_logprobs": top}
        return choice


_REFUSALS: dict[str | None, tuple[int, str, dict[str, str]]] = {
    "busy": (429, "too many requests", {"Retry-After": "7"}),
    "starting": (503, "Service unavailable", {}),
    "too-long": (
        400,
        "This model's maximum context length is 4096 tokens. However, your prompt contains 5000 input tokens,"
        " which exceeds this limit even without any output tokens. (parameter=input_tokens, value=5000)",
        {},
    ),
    "bad": (400, "Requested sample logprobs of 50, which is greater than max allowed: 20", {}),
    "key": (401, "Unauthorized", {}),
    "dead": (500, "EngineCore encountered an issue.", {}),
}


def _cut(ids: Sequence[int], body: dict[str, Any]) -> tuple[list[int], str]:
    taken: list[int] = []
    for i in ids:
        taken.append(i)
        if i in body.get("stop_token_ids", ()):
            return taken, "stop"
        if len(taken) == body["max_tokens"]:
            break
    return taken, "length"


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps({'id': 'cmpl-1', 'object': 'text_completion', **value})}\n\n"
