"""The agent over the real engine and its thread: caches are used, and what is left early is freed.

The model is a puppet that says a script; everything between it and the chat is the real thing.
"""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ossia.agent.events import TextDelta
from ossia.agent.model import Model, ModelCard
from ossia.backends.native import NativeBackend
from ossia.engine import Engine, EngineOptions, PoolPlan
from ossia.errors import BackendError, ContextLengthError
from ossia.model.batch import Batch
from ossia.model.sampling import Ask, SamplingParams
from ossia.tokenizer import load_checkpoint_tokenizer

TOK = load_checkpoint_tokenizer(Path(__file__).parents[1] / "golden" / "tokenizer_tiny.json")
CALL = (
    "<|channel|>analysis<|message|>Add.<|end|><|start|>assistant"
    ' to=functions.add<|channel|>commentary<|message|>{"a": 1, "b": 2}<|call|>'
)
FINAL = "<|channel|>final<|message|>It is 3.<|return|>"


def ids(text: str) -> list[int]:
    parts = re.split(r"(<\|[a-z]+\|>)", text)
    return [i for p in parts for i in ([TOK.special_tokens[p]] if p in TOK.special_tokens else TOK.encode(p))]


class Puppet:
    """Says `script`, one answer after another, then the same id for ever.

    Where it is in its script it reads off the tokens it is given: some of them it never sampled, the grammar
    forced them.
    """

    def __init__(self, *script: Sequence[int]) -> None:
        self.script = [[*ids("<|start|>assistant"), *answer] for answer in script]
        self.known: list[int] = []
        self.steps_before_pause = 10**9
        self.go_on = threading.Event()

    def copy_block(self, group: str, src: int, dst: int) -> None: ...

    def sample(self, batch: Batch, asks: Sequence[Ask | None]) -> list[NDArray[np.float32]]:
        if self.steps_before_pause == 0:
            assert self.go_on.wait(30)
        else:
            self.steps_before_pause -= 1
        first = int(batch.positions[0])
        self.known[first:] = batch.token_ids.tolist()
        logits = np.zeros((len(batch.logit_rows), TOK.vocab_size), np.float32)
        for row in logits:
            row[self.next_id()] = 50
        return list(logits)

    def next_id(self) -> int:
        while self.script and TOK.decode(self.script[0]) in TOK.decode(self.known):
            self.script.pop(0)
        if not self.script:
            return TOK.encode("a")[0]
        answer = self.script[0]
        said = next(n for n in range(len(answer) - 1, 0, -1) if self.known[-n:] == answer[:n])
        return answer[said]


@pytest.fixture
def make() -> Iterator[Callable[..., tuple[Model, Puppet]]]:
    models: list[Model] = []

    def build(*script: str, context: int = 2048) -> tuple[Model, Puppet]:
        puppet = Puppet(*map(ids, script))
        engine = Engine(
            puppet,
            puppet,
            PoolPlan(64, 64, 0, context),
            vocab_size=TOK.vocab_size,
            sliding_window=128,
            model_context=context,
            options=EngineOptions(speculation=False),  # the puppet reads its place off each batch
        )
        models.append(Model(NativeBackend(engine), TOK, ModelCard("puppet")))
        return models[-1], puppet

    yield build
    for model in models:
        model.close()


def add(a: int, b: int) -> int:
    return a + b


def idle(model: Model) -> bool:
    backend = model.backend
    assert isinstance(backend, NativeBackend)
    for _ in range(1000):  # the engine hears of it in its own time
        if backend.stats.running + backend.stats.waiting == 0:
            return True
        time.sleep(0.01)
    return False


def is_closing(model: Model) -> bool:
    for _ in range(1000):
        try:
            model.backend.generate([0], SamplingParams())
        except BackendError:
            return True
        time.sleep(0.01)
    return False


def test_a_tool_call_costs_only_what_is_new(make: Callable[..., tuple[Model, Puppet]]) -> None:
    model, _ = make(CALL, FINAL)
    reply = model.chat(tools=[add], temperature=0).send("1 + 2?")
    assert (reply.text, reply.calls[0].result) == ("It is 3.", "3")
    new = ids("<|start|>functions.add to=assistant<|channel|>commentary<|message|>3<|end|><|start|>assistant")
    first = (reply.usage.prompt_tokens - len(new) - len(ids(CALL))) // 2
    # The call's last token was sampled but never fed, so it is new too.
    assert reply.usage.cached_tokens >= first
    assert reply.usage.context_tokens == first + len(ids(CALL)) + len(new) + len(ids(FINAL))


def test_closing_a_stream_frees_the_engine(make: Callable[..., tuple[Model, Puppet]]) -> None:
    model, _ = make("<|channel|>final<|message|>")
    stream = model.chat().stream("Go on for ever.")
    assert any(isinstance(event, TextDelta) for event in stream)
    stream.close()
    assert idle(model)


def test_cancelling_a_coroutine_frees_the_engine(make: Callable[..., tuple[Model, Puppet]]) -> None:
    model, puppet = make("<|channel|>final<|message|>")
    puppet.steps_before_pause = 8  # or it might have said all the context holds before the time is up

    async def main() -> None:
        async with asyncio.timeout(0.1):
            await model.chat().asend("Go on for ever.")

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    puppet.go_on.set()
    assert idle(model)


def test_closing_the_model_ends_a_stream(make: Callable[..., tuple[Model, Puppet]]) -> None:
    model, puppet = make("<|channel|>final<|message|>")
    puppet.steps_before_pause = 8  # or its answer might end before the model is closed
    stream = model.chat().stream("Go on for ever.")
    next(stream)
    closing = threading.Thread(target=model.close)
    closing.start()
    assert is_closing(model)
    puppet.go_on.set()
    with pytest.raises(BackendError):
        for _ in stream:
            pass
    closing.join()


def test_the_answer_fills_the_context_and_says_so(make: Callable[..., tuple[Model, Puppet]]) -> None:
    model, _ = make("<|channel|>final<|message|>", context=512)
    chat = model.chat()
    reply = chat.send("Go on for ever.")
    assert reply.finish_reason == "length"
    assert reply.usage.context_tokens <= 512
    with pytest.raises(ContextLengthError):
        chat.send("And on.")
    assert chat.undo() == "Go on for ever."
