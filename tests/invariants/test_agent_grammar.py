"""The grammar over the real engine: a model that says anything at all, and pocket at temperature 1.

Whatever the logits, a turn is well-formed, calls name declared tools with valid arguments, and what was
asked of the answer holds; forced ids cost no forward pass; nothing depends on the prefix cache.
"""

import json
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

import ossia
from ossia.agent.events import CallReady, Event, Finished, Note, ReasoningDelta
from ossia.agent.model import Chat, Model, ModelCard, Reply
from ossia.agent.reply import Recorder
from ossia.backends.native import NativeBackend
from ossia.engine import Engine, EngineOptions, PoolPlan, build_engine
from ossia.errors import ModelNotFoundError
from ossia.harmony.parse import parse
from ossia.hub.sources import locate
from ossia.model.batch import Batch
from ossia.model.checkpoint import open_checkpoint
from ossia.model.config import load_config
from ossia.model.sampling import Ask
from ossia.model.weights import load_weights
from ossia.settings import load_settings
from ossia.tokenizer import load_checkpoint_tokenizer

ROOT = Path(__file__).parents[1]
TOK = load_checkpoint_tokenizer(ROOT / "golden" / "tokenizer_tiny.json")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "sizes": {"enum": ["S", "M", "L"]}},
    "required": ["name", "sizes"],
    "additionalProperties": False,
}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def paint(colour: Literal["red", "green"], thick: bool = False) -> str:
    """Paint it."""
    return f"{colour} paint"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights, with a byte vocabulary."""
    spec = spec_from_file_location("tiny_checkpoint_of_the_grammar", ROOT / "unit" / "hub" / "tiny.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    folder: Path = module.write_checkpoint(tmp_path_factory.mktemp("tiny") / "tiny")
    return folder


class Restless:
    """Random logits, a function of all ids before; control tokens a little likelier, so that texts end."""

    def __init__(self) -> None:
        self.known: list[int] = []
        self.control = sorted(TOK.special_tokens.values())

    def copy_block(self, group: str, src: int, dst: int) -> None: ...

    def sample(self, batch: Batch, asks: Sequence[Ask | None]) -> list[NDArray[np.float32]]:
        self.known[int(batch.positions[0]) :] = batch.token_ids.tolist()
        seen = zlib.crc32(np.array(self.known, np.int32).tobytes())
        logits = np.random.default_rng(seen).standard_normal((len(batch.logit_rows), TOK.vocab_size + 5)) * 3
        logits[:, self.control] += 4
        logits[:, TOK.vocab_size :] += 50  # padding: what no mask may ever let through
        return list(logits.astype(np.float32))


@pytest.fixture
def restless() -> Iterator[Callable[..., Model]]:
    models: list[Model] = []

    def make(**options: Any) -> Model:
        model = Restless()
        engine = Engine(
            model,
            model,
            PoolPlan(64, 64, 0, 2048),
            vocab_size=TOK.vocab_size + 5,
            sliding_window=128,
            model_context=2048,
            options=EngineOptions(max_sequences=1, **options),
        )
        models.append(Model(NativeBackend(engine), TOK, ModelCard("restless")))
        return models[-1]

    yield make
    for model in models:
        model.close()


def ask(chat: Chat, text: str = "Do something.") -> tuple[list[Event], Reply]:
    recorder, events = Recorder(), list[Event]()
    for event in chat.stream(text):
        recorder.take(event)
        events.append(event)
    return events, recorder.reply()


def check_well_formed(events: list[Event], reply: Reply, model: Model) -> None:
    """No slip, declared tools, arguments that fit; every message reads back as itself."""
    cut = reply.finish_reason in ("limit_tokens", "length")
    assert {e.code for e in events if isinstance(e, Note)} <= ({"skipped-header"} if cut else {"empty-final"})
    for ready in (e for e in events if isinstance(e, CallReady)):
        arguments = json.loads(ready.arguments)
        if ready.name == "functions.add":
            assert all(type(arguments[name]) is int for name in ("a", "b"))
        else:
            assert (ready.name, arguments["colour"] in ("red", "green")) == ("functions.paint", True)
    last = events[-1]
    assert isinstance(last, Finished)
    for message in last.conversation.messages:
        if message.role == "assistant" and not cut:
            ids = message.sampled_in(model.tok.name)
            assert ids is not None
            read, slips = parse((*ids.header_ids, *ids.body_ids, *ids.end_ids), model.tok)
            assert (read, slips) == ([message], [])


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_logits_a_turn_is_well_formed(restless: Callable[..., Model], seed: int) -> None:
    model = restless()
    events, reply = ask(model.chat(tools=[add, paint], seed=seed, max_turns=4, max_tokens=1200))
    check_well_formed(events, reply, model)


@pytest.mark.parametrize("choice", ["required", "paint"])
def test_a_required_tool_is_called(restless: Callable[..., Model], choice: str) -> None:
    for seed in range(3):
        chat = restless().chat(tools=[add, paint], tool_choice=choice, seed=seed, max_calls=1)
        reply = ask(chat)[1]
        assert len(reply.calls) == 1
        assert choice == "required" or reply.calls[0].name == "functions.paint"


def test_the_answer_is_json_of_its_schema(restless: Callable[..., Model]) -> None:
    for seed in range(3):
        reply = ask(restless().chat(response_format=SCHEMA, seed=seed))[1]
        answer = json.loads(reply.text)
        assert answer.keys() == {"name", "sizes"}
        assert len(answer["name"]) <= 12


def test_the_limit_of_reasoning_closes_it(restless: Callable[..., Model]) -> None:
    closed = 0
    for seed in range(6):
        chat = restless().chat(seed=seed, max_reasoning_tokens=4, max_tokens=600)
        reply = ask(chat)[1]
        assert reply.usage.reasoning_tokens <= 4
        closed += "reasoning-limit" in [note.code for note in reply.notes]
    assert closed


def test_the_answer_is_asked_for_from_another_thread(restless: Callable[..., Model]) -> None:
    chat = restless().chat(logit_bias={TOK.markers.end: -100, TOK.markers.message: 50}, seed=1)
    for event in (stream := chat.stream("Think for ever.")):
        if isinstance(event, ReasoningDelta):
            hurrying = threading.Thread(target=chat.answer_now)
            hurrying.start()
            hurrying.join()
            break
    *_, last = stream
    assert isinstance(last, Finished)
    assert last.reason in ("stop", "empty", "length")
    assert last.conversation.messages[-1].channel == "final"


def test_forced_ids_cost_no_forward_pass(restless: Callable[..., Model]) -> None:
    model = restless()
    ask(model.chat(tools=[paint], tool_choice="paint", max_reasoning_tokens=0, max_calls=1, seed=3))
    assert isinstance(model.backend, NativeBackend)
    stats = model.backend.stats
    assert stats.steps < stats.generated_tokens - len(TOK.encode("to=functions.paint"))


def test_the_prefix_cache_changes_nothing(tiny: Path) -> None:
    """On a real model of random weights: what is cached must be what would be computed."""

    def load(prefix_cache: bool) -> Model:
        config = load_config(tiny)
        weights = load_weights(open_checkpoint(tiny, config), config, "q8")
        options = EngineOptions(kv_bytes=4 << 20, prefix_cache=prefix_cache)
        backend = NativeBackend(build_engine(config, weights, "q8", options))
        return Model(backend, load_checkpoint_tokenizer(tiny), ModelCard("tiny"))

    def answers(model: Model) -> list[tuple[str, str, Any]]:
        chat = model.chat(tools=[add, paint], seed=5, max_turns=3, max_tokens=300)
        replies = [ask(chat, text)[1] for text in ("One.", "Two.", "Three.")]
        return [(r.text, r.reasoning, [(c.name, c.arguments) for c in r.calls]) for r in replies]

    with load(prefix_cache=True) as warm, load(prefix_cache=False) as cold:
        assert answers(warm) == answers(warm) == answers(cold)
        assert isinstance(warm.backend, NativeBackend)
        assert isinstance(cold.backend, NativeBackend)
        assert warm.backend.stats.cached_tokens > 0 == cold.backend.stats.cached_tokens


# With the real pocket model, where it is on this computer (`make test` sees to that).


@pytest.fixture(scope="module")
def pocket() -> Iterator[Model]:
    try:
        locate("pocket", load_settings())
    except ModelNotFoundError:
        pytest.skip("pocket is not on this computer: make setup fetches it")
    with ossia.load("pocket") as model:
        yield model


def test_pocket_at_temperature_one_is_well_formed(pocket: Model) -> None:
    for seed, question in enumerate(("What is 17 plus 25?", "Paint it red.", "Who are you?")):
        chat = pocket.chat(tools=[add, paint], temperature=1.0, seed=seed, max_tokens=400)
        events, reply = ask(chat, question)
        check_well_formed(events, reply, pocket)


def test_pocket_does_as_it_is_asked(pocket: Model) -> None:
    reply = ask(pocket.chat(tools=[add, paint], tool_choice="paint", seed=1, max_tokens=600))[1]
    assert reply.calls[0].name == "functions.paint"
    chat = pocket.chat(response_format=SCHEMA, max_reasoning_tokens=8, temperature=1.0, seed=1)
    reply = ask(chat, "Describe a shirt as JSON.")[1]
    assert json.loads(reply.text).keys() == {"name", "sizes"}
    assert reply.usage.reasoning_tokens <= 8


def test_pocket_is_hurried_out_of_its_reasoning(pocket: Model) -> None:
    chat = pocket.chat(seed=2, effort="high", max_tokens=400)
    for event in (stream := chat.stream("Explain, step by step, why the sky is blue.")):
        if isinstance(event, ReasoningDelta):
            chat.answer_now()
            break
    *events, last = stream
    assert isinstance(last, Finished)
    assert Note("answered-now", "the chain of thought was closed because the answer was asked for") in events
    assert last.conversation.messages[-1].channel == "final"
