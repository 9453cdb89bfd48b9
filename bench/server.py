"""The server under load: whether streams arrive whole, and what a token costs beside computing it.

    python bench/server.py streams                 64 streams for a minute, answers from a script
    python bench/server.py beside MODEL            one stream of a real model, and it without a server

The server is a process of its own. All of it, the agent loop included, runs on that process's first thread
(the engine has others), so that thread's processor time is what server and loop cost. A token's share is of
the 91 ms that gpt-oss-20b takes for one on two cores of a server CPU (docs/performance.md).
"""

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import psutil
import uvicorn

from ossia.agent.card import ModelCard
from ossia.agent.events import Finished
from ossia.agent.limits import Limits
from ossia.agent.model import Model
from ossia.backends.base import Capabilities
from ossia.hub.load import load
from ossia.model.sampling import SamplingParams, Token
from ossia.server.app import build_app
from ossia.server.models.fixed import FixedModel
from ossia.server.operations.admission import Admission
from ossia.server.service import Service
from ossia.tokenizer import load_o200k_harmony

STEP_S = 0.091  # a decode step of gpt-oss-20b
WORDS = 60  # in an answer, about three tokens each
PROMPT = "Write a page about the sea."
TOK = load_o200k_harmony()


def words(seed: int) -> str:
    """What the script says to that number; neighbouring numbers have nothing in common."""
    numbers = itertools.accumulate(range(WORDS), lambda x, _: (x * 48271 + 11) % 2147483647, initial=seed + 1)
    return " ".join(f"{n % 100_000}" for n in itertools.islice(numbers, WORDS))


@cache
def _answer(seed: int) -> list[int]:
    marks = TOK.special_tokens
    head = [marks["<|channel|>"], *TOK.encode("final"), marks["<|message|>"]]
    return [*head, *TOK.encode(words(seed)), marks["<|return|>"]]


class Script:
    """A backend that says the words of the number in the prompt, a token every `pause_s` seconds."""

    capabilities = Capabilities(masks=False, logprobs=False, forced_ids=False, prefix_cache=False)
    context_length = 131_072

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s

    def generate(self, prompt_ids: Sequence[int], params: SamplingParams) -> AsyncGenerator[Token, None]:
        asked = TOK.decode(prompt_ids).rpartition("number ")[2]
        return self._say(_answer(int(asked[: asked.index(".")])))

    async def _say(self, ids: list[int]) -> AsyncGenerator[Token, None]:
        for token_id in ids[:-1]:
            await asyncio.sleep(self._pause_s)
            yield Token(token_id)
        yield Token(ids[-1], finish="stop")

    async def close(self) -> None: ...


def host(args: argparse.Namespace) -> None:
    """The server's process: says its port, and serves until it is ended."""
    if args.model is None:
        model = Model(Script(args.pause), TOK, ModelCard("script"))
    else:
        model = load(args.model, max_context=8192, max_sequences=8)
    app = build_app(Service(FixedModel(model), admission=Admission(running=256)))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))

    async def main() -> None:
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)
        await serving

    asyncio.run(main())


@dataclass(frozen=True)
class Hosted:
    """A running server: its port, and its process."""

    port: int
    process: psutil.Process

    def loop_s(self) -> float:
        """Processor time of the thread that server and agent loop run on."""
        (first,) = (t for t in self.process.threads() if t.id == self.process.pid)
        return first.user_time + first.system_time


@contextmanager
def hosted(*options: str) -> Iterator[Hosted]:
    command = [sys.executable, __file__, "host", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield Hosted(int(child.stdout.readline()), psutil.Process(child.pid))
        finally:
            child.terminate()


async def events_of(port: int, path: str, body: dict[str, Any]) -> AsyncIterator[str]:
    """The data of each event of a stream, read with as little machinery as will do."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    try:
        status = await reader.readline()
        assert b" 200 " in status, status + await reader.read()
        while await reader.readline() != b"\r\n":
            pass
        rest = b""
        while size := int(await reader.readline(), 16):
            rest += (await reader.readexactly(size + 2))[:-2]
            *events, rest = rest.split(b"\n\n")
            for event in events:
                if (at := event.find(b"data: ")) >= 0:
                    yield event[at + 6 :].decode()
    finally:
        writer.close()


@dataclass
class Read:
    """What one stream brought."""

    text: str = ""
    finish: str | None = None
    done: bool = False
    output_tokens: int = 0
    first_s: float = 0.0


async def read_chat(port: int, model: str, prompt: str, **options: Any) -> Read:
    messages = [{"role": "user", "content": prompt}]
    body = {"model": model, "messages": messages, "stream": True, **options}
    got, begun = Read(), time.perf_counter()
    async for data in events_of(
        port, "/v1/chat/completions", body | {"stream_options": {"include_usage": True}}
    ):
        if data == "[DONE]":
            got.done = True
            continue
        chunk = json.loads(data)
        if usage := chunk.get("usage"):
            got.output_tokens = usage["completion_tokens"]
        for choice in chunk["choices"]:
            text = choice["delta"].get("content") or choice["delta"].get("reasoning_content") or ""
            got.first_s = got.first_s or (time.perf_counter() - begun if text else 0.0)
            got.text += text
            got.finish = choice["finish_reason"] or got.finish
    return got


async def read_response(port: int, model: str, prompt: str, **options: Any) -> Read:
    body = {"model": model, "input": prompt, "stream": True, "store": False}
    if "max_tokens" in options:
        body["max_output_tokens"] = options["max_tokens"]
    got, begun = Read(), time.perf_counter()
    async for data in events_of(port, "/v1/responses", body):
        if data == "[DONE]":
            got.done = True
            continue
        event = json.loads(data)
        if event["type"] in ("response.output_text.delta", "response.reasoning_text.delta"):
            got.first_s = got.first_s or time.perf_counter() - begun
            got.text += event["delta"]
        elif event["type"] in ("response.completed", "response.incomplete"):
            got.finish = "stop" if event["type"] == "response.completed" else "length"
            got.output_tokens = event["response"]["usage"]["output_tokens"]
    return got


READERS = {"chat": read_chat, "responses": read_response}


async def _streams(port: int, dialect: str, count: int, seconds: float) -> tuple[list[Read], int]:
    """Keep `count` streams going for `seconds`; all that was read, and how many were not what was said."""
    end, numbers, reads, wrong = time.perf_counter() + seconds, itertools.count(), [], 0

    async def worker() -> None:
        nonlocal wrong
        while time.perf_counter() < end:
            number = next(numbers)
            got = await READERS[dialect](port, "script", f"Say number {number}.")
            wrong += not (got.done and got.finish == "stop" and got.text == words(number))
            reads.append(got)

    await asyncio.gather(*(worker() for _ in range(count)))
    return reads, wrong


def streams(args: argparse.Namespace) -> None:
    for dialect in args.dialects:
        with hosted("--pause", str(args.pause)) as server:
            asyncio.run(_streams(server.port, dialect, 4, 1.0))  # everything imported and warm
            before, begun = server.loop_s(), time.perf_counter()
            reads, wrong = asyncio.run(_streams(server.port, dialect, args.streams, args.seconds))
            seconds, spent = time.perf_counter() - begun, server.loop_s() - before
        tokens = sum(got.output_tokens for got in reads)
        firsts = sorted(got.first_s for got in reads)
        print(
            f"{dialect}: {args.streams} streams for {seconds:.0f} s: {len(reads)} answers, "
            f"{wrong} lost or torn, {tokens / seconds:,.0f} tokens/s; first text after "
            f"{firsts[len(firsts) // 2] * 1e3:.0f} ms (median), {firsts[-1] * 1e3:.0f} ms (longest)"
        )
        _say_cost(spent, tokens)


def _say_cost(spent_s: float, tokens: int) -> None:
    each = spent_s / tokens
    print(f"  server and loop: {each * 1e6:.0f} µs of processor a token, {each / STEP_S:.2%} of a 20b step")


def beside(args: argparse.Namespace) -> None:
    """One stream from a real model through the server, and the same answers without one."""
    with hosted("--model", args.model) as server:
        one = READERS[args.dialects[0]]
        asyncio.run(one(server.port, args.model, PROMPT, max_tokens=32))
        before, begun = server.loop_s(), time.perf_counter()
        reads = [
            asyncio.run(one(server.port, args.model, PROMPT, max_tokens=args.tokens))
            for _ in range(args.rounds)
        ]
        seconds, spent = time.perf_counter() - begun, server.loop_s() - before
    tokens = sum(got.output_tokens for got in reads)
    print(f"{args.model}: {tokens / seconds:.1f} tokens/s through the server, {tokens} tokens")
    _say_cost(spent, tokens)
    with load(args.model, max_context=8192) as model:
        _direct(model, 32)
        rates = [_direct(model, args.tokens) for _ in range(args.rounds)]
    print(f"  {sum(n for n, _ in rates) / sum(s for _, s in rates):.1f} tokens/s without one")


def _direct(model: Model, tokens: int) -> tuple[int, float]:
    begun = time.perf_counter()
    chat = model.chat()
    chat.limits = Limits(tokens=tokens)
    last = None
    for event in chat.stream(PROMPT):
        last = event
    assert isinstance(last, Finished)
    return last.usage.output_tokens, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    loaded = commands.add_parser("streams")
    loaded.add_argument("--streams", type=int, default=64)
    loaded.add_argument("--seconds", type=float, default=60)
    loaded.add_argument("--pause", type=float, default=0.05, help="seconds between a stream's tokens")
    loaded.add_argument("--dialects", nargs="+", choices=READERS, default=["chat", "responses"])
    loaded.set_defaults(run=streams)
    real = commands.add_parser("beside")
    real.add_argument("model")
    real.add_argument("--tokens", type=int, default=200)
    real.add_argument("--rounds", type=int, default=5)
    real.add_argument("--dialects", nargs=1, choices=READERS, default=["chat"])
    real.set_defaults(run=beside)
    child = commands.add_parser("host")
    child.add_argument("--model")
    child.add_argument("--pause", type=float, default=0.0)
    child.set_defaults(run=host)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
