"""A scripted model for the server's tests, and a real server to put it in.

`Puppet` answers what a function makes of the prompt's text: Harmony text, from after ``<|start|>assistant``.
It obeys no mask, but is asked for everything that needs one. Logprobs are -0.5 for what it says.
"""

import asyncio
import contextlib
import functools
import json
import re
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import uvicorn

from ossia.agent.card import ModelCard
from ossia.agent.model import Model
from ossia.backends.base import Capabilities, Item
from ossia.errors import BackendError, ContextLengthError
from ossia.harmony.grammar import GrammarCompiler
from ossia.model.sampling import PromptProgress, SamplingParams, Token
from ossia.server.app import build_app
from ossia.server.front.gate import Access
from ossia.server.front.hosting import Host, bind
from ossia.server.models.fixed import FixedModel
from ossia.server.service import Service
from ossia.tokenizer import Tokenizer, load_o200k_harmony

NAME = "openai/gpt-oss-20b"


class Puppet:
    """A backend; `prompts` and `params` record the requests, `left` counts answers the reader left early."""

    capabilities = Capabilities(masks=True, logprobs=True, forced_ids=False, prefix_cache=True)

    def __init__(
        self,
        answer: Callable[[str], str],
        tok: Tokenizer | None = None,
        *,
        context_length: int = 131_072,
        seconds_per_token: float = 0.0,
    ) -> None:
        self.tok = tok or load_o200k_harmony()
        self.context_length = context_length
        self.prompts: list[list[int]] = []
        self.params: list[SamplingParams] = []
        self.left = 0
        self._answer = answer
        self._pause = seconds_per_token
        self._closed = False

    def ids(self, text: str) -> list[int]:
        """Ids of Harmony text, its control tokens by id and what lies between as text."""
        special = self.tok.special_tokens
        parts = re.split(r"(<\|[a-z]+\|>)", text)
        return [i for p in parts for i in ([special[p]] if p in special else self.tok.encode(p))]

    def prompt_text(self, at: int = -1) -> str:
        """The text of a prompt it was given."""
        return self.tok.decode(self.prompts[at])

    def generate(self, prompt_ids: Sequence[int], params: SamplingParams) -> AsyncGenerator[Item, None]:
        if len(prompt_ids) + (params.max_tokens or 1) > self.context_length:
            raise ContextLengthError(
                f"{len(prompt_ids)} tokens, the context is {self.context_length}",
                value=len(prompt_ids),
                limit=self.context_length,
            )
        before = self.prompts[-1] if self.prompts else []
        cached = next((i for i, (a, b) in enumerate(zip(before, prompt_ids, strict=False)) if a != b), None)
        cached = min(len(before), len(prompt_ids)) if cached is None else cached
        self.prompts.append(list(prompt_ids))
        self.params.append(params)
        return self._play(self.ids(self._answer(self.prompt_text())), params, cached)

    async def _play(self, ids: list[int], params: SamplingParams, cached: int) -> AsyncGenerator[Item, None]:
        complete = False
        try:
            if params.progress:
                yield PromptProgress(cached, len(self.prompts[-1]))
            for n, token_id in enumerate(ids, 1):
                await asyncio.sleep(self._pause)
                if self._closed:
                    raise BackendError("the puppet is closed")
                token = Token(token_id, cached=cached if n == 1 else 0)
                if params.logprobs is not None:
                    top = ((token_id, -0.5), *((i, -3.0) for i in range(params.logprobs - 1)))
                    token = replace(token, logprob=-0.5, top=top[: params.logprobs])
                if token_id in params.stop_ids or n == len(ids):
                    token = replace(token, finish="stop")
                elif n == params.max_tokens:
                    token = replace(token, finish="length")
                complete = token.finish is not None
                yield token
                if complete:
                    return
        finally:
            self.left += not complete

    async def close(self) -> None:
        self._closed = True


@functools.cache
def compiler_of(tok: Tokenizer) -> GrammarCompiler:
    """What all grammars share takes seconds to build: once for all tests."""
    return GrammarCompiler(tok)


def model_of(puppet: Puppet, name: str = NAME) -> Model:
    return Model(puppet, puppet.tok, ModelCard(name), compiler_of(puppet.tok))


def service_of(puppet: Puppet, **options) -> Service:
    return Service(FixedModel(model_of(puppet)), **options)


def final(text: str, thought: str = "") -> str:
    """A turn that thinks and answers."""
    thinking = f"<|channel|>analysis<|message|>{thought}<|end|><|start|>assistant" if thought else ""
    return f"{thinking}<|channel|>final<|message|>{text}<|return|>"


def call(name: str, arguments: dict | str, thought: str = "") -> str:
    """A turn that thinks and calls a tool ("functions.x"), with JSON arguments or with text."""
    thinking = f"<|channel|>analysis<|message|>{thought}<|end|><|start|>assistant" if thought else ""
    kind, body = (
        ("", arguments) if isinstance(arguments, str) else (" <|constrain|>json", json.dumps(arguments))
    )
    return f"{thinking} to={name}<|channel|>commentary{kind}<|message|>{body}<|call|>"


@contextlib.contextmanager
def running(service: Service, *, port: int = 0, wrap=None, **config) -> Iterator[str]:
    """A real server over `service`, on a free port of the loopback; yields its URL without a path. `wrap`
    puts something of a test's before the application."""
    app = build_app(service)
    settings = uvicorn.Config(wrap(app) if wrap else app, port=port, log_level="error", **config)
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop"


@dataclass(frozen=True)
class Hosted:
    """A server in the host that `ossia serve` uses, and the event loop it runs in."""

    url: str
    port: int
    host: Host
    loop: asyncio.AbstractEventLoop

    def do(self, coroutine):
        """Run a coroutine in the server's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def tasks(self) -> int:
        """How many tasks there are in the server's loop, this question's aside."""

        async def count():
            return len(asyncio.all_tasks()) - 1

        return self.do(count())


@contextlib.contextmanager
def hosted(service: Service, access: Access | None = None, **options) -> Iterator[Hosted]:
    """As `running`, with keys, limits and an end in good order."""
    listening = bind("127.0.0.1", 0)
    port = listening.getsockname()[1]
    server = Host(build_app(service, access), service, **options)
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve():
        loops.append(asyncio.get_running_loop())
        await server.serve([listening])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        thread.join(0.01)
    try:
        yield Hosted(f"http://127.0.0.1:{port}", port, server, loops[0])
    finally:
        server.stop()
        thread.join(20)
        listening.close()
        assert not thread.is_alive(), "the server did not stop"
