"""What can be asked of an answer besides its text: under a grammar, without one, and in the middle of it."""

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest

from ossia.agent.card import ModelCard
from ossia.agent.events import CallReady, Event, Finished, MessageDone, Note, ReasoningDelta, TextDelta
from ossia.agent.limits import Limits
from ossia.agent.loop import run
from ossia.agent.model import Chat, Model
from ossia.agent.steering.control import Control
from ossia.agent.steering.guide import choice_after
from ossia.agent.steering.options import as_tool_choice
from ossia.backends.scripted import ScriptedBackend
from ossia.errors import BackendError, InputError
from ossia.harmony.grammar import AllowedTools, GrammarCompiler, JsonObject, JsonSchema
from ossia.harmony.messages import Message
from ossia.harmony.parse import parse
from ossia.model.sampling import SamplingParams
from ossia.tokenizer import Tokenizer
from ossia.tools import calculator, tool

from .masked_backend import MaskedBackend

THINK = "<|channel|>analysis<|message|>Let me see.<|end|>"
NEXT = "<|start|>assistant"
FINAL = "<|channel|>final<|message|>It is 42.<|return|>"
CALC = " to=functions.calculator<|channel|>commentary <|constrain|>json<|message|>"
CALL = CALC + '{"expression": "6*7"}<|call|>'
ANALYSIS = "<|channel|>analysis<|message|>"
LONG = ANALYSIS + "and so on " * 30
WEATHER = JsonSchema(
    {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 8}, "rain": {"type": "boolean"}},
        "required": ["city", "rain"],
        "additionalProperties": False,
    }
)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@dataclass
class Masked:
    """Answers over a backend that obeys masks, with the grammar on unless said otherwise."""

    tok: Tokenizer
    ids: Callable[[str], list[int]]
    compiler: GrammarCompiler
    agent: Any
    backend: Any = field(default=None)

    def run(self, *scripts: str, seed: int = 0, on_token: Any = None, **options: Any) -> list[Event]:
        self.backend = MaskedBackend(self.tok, *map(self.ids, scripts), seed=seed)
        self.backend.on_token = on_token or (lambda _: None)
        tools = options.setdefault("tools", [calculator()])
        conversation = self.agent.conversation(tools=tools)
        options.setdefault("grammar", self.compiler)

        async def collect() -> list[Event]:
            return [e async for e in run(self.backend, self.tok, conversation, **options)]

        return asyncio.run(collect())


class Broken:
    """A grammar whose mask gives up at once."""

    class Mask:
        failure = "the matcher is out of its depth"
        finished = closed_reasoning = False

        def mask(self, out: Any) -> None:
            out[:-3] = 1
            out[-3:] = 0

        def forced(self) -> list[int]:
            return []

        def advance(self, ids: Sequence[int]) -> None: ...

        def rollback(self, n: int) -> None: ...

        def answer_now(self) -> None: ...

    def __init__(self) -> None:
        self.prepared: Future[None] = Future()
        self.prepared.set_exception(RuntimeError("no vocabulary"))

    def compile(self, rules: Any) -> "Broken":
        return self

    def start(self, **_: Any) -> Any:
        return self.Mask()

    def problem(self, recipient: str | None, text: str) -> str | None:
        return None


@pytest.fixture(scope="session")
def compiler(tok: Tokenizer) -> GrammarCompiler:
    return GrammarCompiler(tok)


@pytest.fixture
def masked(tok: Tokenizer, ids: Any, compiler: GrammarCompiler, agent: Any) -> Masked:
    return Masked(tok, ids, compiler, agent)


def after(tokens: int, act: Callable[[], object]) -> Callable[[int], None]:
    """Something to be called with each token, which acts once, after so many."""
    left = iter(range(tokens - 1, -1, -1))

    def count(_: int) -> None:
        if next(left, None) == 0:
            act()

    return count


def of(events: Sequence[Event], kind: type[Any]) -> list[Any]:
    return [e for e in events if isinstance(e, kind)]


def codes(events: Sequence[Event]) -> list[str]:
    return [n.code for n in of(events, Note)]


def text(events: Sequence[Event], kind: type[Any]) -> str:
    return "".join(e.text for e in of(events, kind))


def end(events: Sequence[Event]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


def test_what_is_well_formed_is_let_through(masked: Masked) -> None:
    events = masked.run(THINK + NEXT + CALL, THINK + NEXT + FINAL)
    assert masked.backend.answers == [masked.ids(THINK + NEXT + CALL), masked.ids(THINK + NEXT + FINAL)]
    assert (codes(events), end(events).reason, text(events, TextDelta)) == ([], "stop", "It is 42.")
    assert end(events).usage.output_tokens == sum(map(len, masked.backend.answers))


def test_what_is_forced_costs_no_sampling_and_counts_as_output(masked: Masked) -> None:
    events = masked.run(CALL, FINAL, tool_choice=AllowedTools(("functions.calculator",), required=True))
    assert end(events).usage.output_tokens == sum(map(len, masked.backend.answers))
    assert masked.backend.sampled < end(events).usage.output_tokens - 4


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_talks_at_random_is_well_formed(masked: Masked, seed: int) -> None:
    events = masked.run(seed=seed, tools=[calculator(), tool(add)], limits=Limits(turns=4, tokens=1500))
    wrong = set(codes(events)) - {"empty-final"}
    assert not wrong
    for answer in masked.backend.answers:
        assert not parse(answer, masked.tok, "assistant")[1]
    for ready in of(events, CallReady):
        assert ready.name in ("functions.calculator", "functions.add")
        assert isinstance(json.loads(ready.arguments), dict)


def test_an_undeclared_tool_cannot_be_called(masked: Masked) -> None:
    events = masked.run(CALL.replace("calculator", "shell"), limits=Limits(turns=1, tokens=400))
    assert all(ready.name == "functions.calculator" for ready in of(events, CallReady))


@pytest.mark.parametrize("choice", ["required", AllowedTools(("functions.calculator",), required=True)])
def test_a_required_tool_is_called_first_and_then_the_model_may_answer(masked: Masked, choice: Any) -> None:
    events = masked.run(THINK + NEXT + FINAL + CALL, FINAL, tool_choice=choice)
    assert [e.name for e in of(events, CallReady)] == ["functions.calculator"]
    assert (end(events).reason, text(events, TextDelta)) == ("stop", "It is 42.")


def test_no_tool_is_called_where_none_may_be(masked: Masked) -> None:
    events = masked.run(THINK + NEXT + CALL + FINAL, tool_choice="none")
    assert not of(events, CallReady)
    assert end(events).usage.steps == 1


def test_the_number_of_calls_counts_over_the_answer(masked: Masked) -> None:
    events = masked.run(CALL, CALL, CALL + FINAL, FINAL, max_calls=2)
    assert len(of(events, CallReady)) == 2
    assert end(events).usage.steps == 3
    assert text(events, TextDelta)
    assert not of(masked.run(CALL + FINAL, max_calls=0), CallReady)


def test_what_is_left_of_a_tool_choice_after_a_call() -> None:
    both = ("functions.a", "functions.b")
    assert choice_after("required", 0) == "required"
    assert choice_after("required", 1) == choice_after("auto", 1) == "auto"
    assert choice_after("none", 1) == "none"
    assert choice_after(AllowedTools(both[:1], True), 1) == "auto"
    assert choice_after(AllowedTools(both, True), 1) == AllowedTools(both, False)
    assert choice_after(AllowedTools(both, False), 1) == AllowedTools(both, False)


@pytest.mark.parametrize("form", [WEATHER, JsonObject()])
def test_the_final_is_what_the_response_format_says(masked: Masked, form: Any) -> None:
    script = (
        THINK
        + NEXT
        + '<|channel|>final <|constrain|>json<|message|>{"city": "Busan", "rain": true}<|return|>'
    )
    events = masked.run(script, response_format=form)
    assert json.loads(text(events, TextDelta)) == {"city": "Busan", "rain": True}
    events = masked.run(THINK + NEXT + FINAL, response_format=WEATHER, tools=[], limits=Limits(tokens=2000))
    got = json.loads(text(events, TextDelta))
    assert isinstance(got["city"], str)
    assert isinstance(got["rain"], bool)
    assert not codes(events)


def test_what_the_grammar_cannot_enforce_is_checked_afterwards(masked: Masked) -> None:
    form = JsonSchema({"type": "array", "items": {"type": "integer"}, "uniqueItems": True})
    events = masked.run("<|channel|>final <|constrain|>json<|message|>[1, 1]<|return|>", response_format=form)
    (note,) = of(events, Note)
    assert note.code == "schema-mismatch"
    assert text(events, TextDelta) == "[1, 1]"
    assert end(events).reason == "stop"
    cut = masked.run("<|channel|>final<|message|>[1, 1]<|return|>", response_format=form, stop=[", "])
    assert codes(cut) == []


def test_the_limit_of_reasoning_closes_it_and_answers(masked: Masked) -> None:
    events = masked.run(LONG + "<|return|>", limits=Limits(reasoning_tokens=20, tokens=400))
    assert end(events).usage.reasoning_tokens == 20
    assert codes(events)[0] == "reasoning-limit"
    assert text(events, TextDelta) or end(events).reason == "empty"
    closed = masked.ids("<|end|>" + NEXT + "<|channel|>final<|message|>")
    assert closed == masked.backend.answers[0][len(masked.ids(ANALYSIS)) + 20 :][: len(closed)]


def test_the_limit_of_reasoning_counts_over_all_steps(masked: Masked) -> None:
    first = len(masked.tok.encode("Let me see."))
    events = masked.run(THINK + NEXT + CALL, LONG + FINAL, limits=Limits(reasoning_tokens=first + 7))
    assert end(events).usage.reasoning_tokens == first + 7
    assert codes(events) == ["reasoning-limit"]


def test_the_limit_of_reasoning_holds_without_a_grammar_too(masked: Masked) -> None:
    events = masked.run(LONG + FINAL, limits=Limits(reasoning_tokens=20, tokens=400), grammar=None)
    assert end(events).usage.reasoning_tokens == 20
    assert codes(events)[0] == "reasoning-limit"


def test_asked_to_answer_now_the_model_leaves_its_reasoning(masked: Masked) -> None:
    control = Control()
    hurry = after(len(masked.ids(ANALYSIS)) + 6, control.answer_now)
    events = masked.run(LONG + FINAL, on_token=hurry, control=control)
    assert end(events).usage.reasoning_tokens == 6
    assert codes(events) == ["answered-now"]
    assert text(events, TextDelta) == "It is 42."
    assert end(events).usage.steps == 1


def test_asked_before_it_began_the_model_does_not_reason(masked: Masked) -> None:
    control = Control()
    control.answer_now()
    events = masked.run(CALL, THINK + NEXT + FINAL, control=control)
    assert len(of(events, CallReady)) == 1
    assert text(events, ReasoningDelta) == ""
    assert text(events, TextDelta)


# Without masks: the loop closes the chain of thought itself.


def scripted(agent: Any, *answers: str, **options: Any) -> list[Event]:
    events: list[Event] = agent.run(*answers, **options)
    return events


def test_without_masks_the_limit_of_reasoning_is_the_loops(agent: Any) -> None:
    events = scripted(agent, LONG, "It is 42.<|return|>", limits=Limits(reasoning_tokens=20))
    first, second = agent.backend.prompts
    spoken = agent.ids(LONG)[: len(agent.ids(ANALYSIS)) + 20]
    closing = agent.ids("<|end|>" + NEXT + "<|channel|>final<|message|>")
    assert second == first + spoken + closing
    usage = end(events).usage
    assert (usage.reasoning_tokens, usage.steps) == (20, 2)
    assert usage.prompt_tokens == len(first) + len(second)
    assert usage.context_tokens == len(second) + len(agent.ids("It is 42.<|return|>"))
    assert codes(events) == ["reasoning-limit"]
    assert text(events, TextDelta) == "It is 42."
    thought, final = end(events).conversation.messages[-2:]
    assert (thought.channel, final) == ("analysis", Message("assistant", "It is 42.", channel="final"))
    assert [e.message for e in of(events, MessageDone)] == [thought, final]


def test_without_masks_reasoning_may_be_forbidden(agent: Any) -> None:
    events = scripted(agent, THINK + NEXT + FINAL, "42.<|return|>", limits=Limits(reasoning_tokens=0))
    assert (end(events).usage.reasoning_tokens, text(events, TextDelta)) == (0, "42.")


def test_without_masks_too_the_answer_can_be_asked_for(agent: Any) -> None:
    control = Control()
    backend = agent.script(LONG, "It is 42.<|return|>")

    async def collect() -> list[Event]:
        events: list[Event] = []
        async for event in run(backend, agent.tok, agent.conversation(), control=control):
            events.append(event)
            if len(of(events, ReasoningDelta)) == 3:
                control.answer_now()
        return events

    events = asyncio.run(collect())
    assert len(of(events, ReasoningDelta)) == 3
    assert codes(events) == ["answered-now"]
    assert text(events, TextDelta) == "It is 42."


def test_closing_the_reasoning_keeps_to_the_limit_of_tokens(agent: Any) -> None:
    events = scripted(agent, LONG, limits=Limits(reasoning_tokens=20, tokens=25))
    assert end(events).reason == "limit_tokens"
    assert len(agent.backend.prompts) == 1


def test_closing_the_reasoning_keeps_to_the_tokens_of_a_step(agent: Any) -> None:
    closed = len(agent.ids(ANALYSIS)) + 20 + len(agent.ids("<|end|>" + NEXT + "<|channel|>final<|message|>"))
    options: dict[str, Any] = {"limits": Limits(reasoning_tokens=20)}
    events = scripted(agent, LONG, "One two three", sampling=SamplingParams(max_tokens=closed), **options)
    assert (end(events).reason, len(agent.backend.prompts)) == ("length", 1)
    events = scripted(agent, LONG, "One two three", sampling=SamplingParams(max_tokens=closed + 2), **options)
    assert end(events).reason == "length"
    assert end(events).usage.output_tokens == closed + 2


def test_a_context_that_is_full_when_reasoning_is_closed_ends_the_answer(agent: Any) -> None:
    prompt = len(scripted(agent, FINAL) and agent.backend.prompts[0])
    room = len(agent.ids(ANALYSIS)) + 22
    events = scripted(agent, LONG, FINAL, limits=Limits(reasoning_tokens=20), context_length=prompt + room)
    assert end(events).reason == "length"
    assert codes(events) == ["reasoning-limit", "context-full"]
    assert [m.channel for m in end(events).conversation.messages[-2:]] == ["analysis", "final"]


@pytest.mark.parametrize(
    "asked",
    [
        {"tool_choice": "required"},
        {"tool_choice": "none"},
        {"tool_choice": AllowedTools(("functions.calculator",))},
        {"response_format": JsonObject()},
        {"max_calls": 1},
    ],
)
def test_what_cannot_be_enforced_is_refused(agent: Any, masked: Masked, asked: dict[str, Any]) -> None:
    with pytest.raises(BackendError, match=next(iter(asked))) as caught:
        scripted(agent, FINAL, tools=[calculator()], **asked)
    assert caught.value.remedy
    assert agent.backend.prompts == []
    with pytest.raises(InputError, match="grammar is off"):
        masked.run(FINAL, grammar=None, **asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"tool_choice": AllowedTools(("functions.shell",), required=True)},
        {"tool_choice": "required", "tools": []},
        {"max_calls": -1},
        {"sampling": SamplingParams(mask=Broken.Mask())},
        {"response_format": JsonSchema({"type": "array", "uniqueItems": True}, strict=True)},
    ],
)
def test_what_is_impossible_is_refused_before_anything_is_computed(
    masked: Masked, asked: dict[str, Any]
) -> None:
    with pytest.raises(InputError):
        masked.run(FINAL, **asked)
    assert masked.backend.prompts == []


def test_a_grammar_that_gives_up_says_so_and_the_answer_goes_on(masked: Masked) -> None:
    events = masked.run(FINAL, grammar=Broken())
    assert of(events, Note) == [Note("grammar-failed", "the matcher is out of its depth")]
    assert text(events, TextDelta) == "It is 42."


@pytest.mark.parametrize("stuck", ["analysis", "final"])
def test_an_answer_that_repeats_itself_is_ended(agent: Any, stuck: str) -> None:
    loop = f"<|channel|>{stuck}<|message|>" + "Wait, let me check that again. " * 400
    events = scripted(agent, loop, limits=Limits(tokens=6000))
    assert (end(events).reason, codes(events)) == ("repetition", ["repetition"])
    assert end(events).usage.output_tokens < 3000
    assert agent.backend.left == 1
    assert end(events).conversation.messages[-1].channel == stuck
    events = scripted(agent, loop, limits=Limits(tokens=6000, repetition=False))
    assert end(events).reason != "repetition"


# Through Model and Chat.


@pytest.fixture
def chat_of(masked: Masked) -> Any:
    models: list[Model] = []

    def make(*scripts: str, **options: Any) -> tuple[Chat, MaskedBackend]:
        backend = MaskedBackend(masked.tok, *map(masked.ids, scripts))
        models.append(Model(backend, masked.tok, ModelCard("test"), masked.compiler))
        return models[-1].chat(tools=[add, calculator()], **options), backend

    yield make
    for model in models:
        model.close()


def test_a_chat_is_kept_to_the_grammar_unless_it_is_switched_off(chat_of: Any) -> None:
    shell = CALL.replace("calculator", "shell")
    chat, _ = chat_of(shell, shell, FINAL, max_tokens=400)
    assert all(call.name != "functions.shell" for call in chat.send("What?").calls)
    chat, _ = chat_of(shell, FINAL, grammar=False)
    assert [call.name for call in chat.send("What?").calls] == ["functions.shell"]


def test_the_options_of_a_chat_hold(chat_of: Any) -> None:
    chat, _ = chat_of(FINAL + CALL, FINAL, tool_choice="calculator")
    assert [call.name for call in chat.send("What?").calls] == ["functions.calculator"]
    chat, _ = chat_of(THINK + NEXT + FINAL, response_format=WEATHER.schema, max_tokens=2000)
    assert json.loads(chat.send("What?").text).keys() == {"city", "rain"}
    chat, _ = chat_of(LONG + FINAL, max_reasoning_tokens=5)
    reply = chat.send("What?")
    assert (reply.usage.reasoning_tokens, reply.notes[0].code) == (5, "reasoning-limit")
    chat.tool_choice, chat.max_calls = "none", 0
    assert not chat.send("And?").calls


def test_a_chat_is_hurried_from_another_thread(chat_of: Any, masked: Masked) -> None:
    chat, backend = chat_of(LONG + FINAL, THINK + NEXT + FINAL)
    chat.answer_now()  # nothing is under way: nothing happens
    thread = threading.Thread(target=chat.answer_now)
    backend.on_token = after(len(masked.ids(ANALYSIS)) + 6, lambda: (thread.start(), thread.join()))
    reply = chat.send("What?")
    assert [note.code for note in reply.notes] == ["answered-now"]
    assert (reply.text, reply.finish_reason) == ("It is 42.", "stop")
    backend.on_token = lambda _: None
    assert chat.send("And?").reasoning == "Let me see."  # it held for one answer


def test_a_grammar_under_preparation_holds_up_its_own_answer_only(masked: Masked) -> None:
    slow = Broken()
    slow.prepared = Future()
    backend = MaskedBackend(masked.tok, masked.ids(FINAL))

    async def watch() -> tuple[int, list[Event]]:
        async def collect() -> list[Event]:
            conversation = masked.agent.conversation()
            return [e async for e in run(backend, masked.tok, conversation, grammar=slow)]  # type: ignore[arg-type]

        answer = asyncio.create_task(collect())
        for _ in range(10):
            await asyncio.sleep(0)  # the loop is free meanwhile
        asked = len(backend.prompts)
        slow.prepared.set_result(None)
        return asked, await answer

    asked, events = asyncio.run(watch())
    assert (asked, len(backend.prompts)) == (0, 1)
    assert text(events, TextDelta) == "It is 42."


def test_tools_are_named_shortly_or_in_full() -> None:
    tools = [calculator()]
    assert as_tool_choice("auto", tools) == "auto"
    expected = AllowedTools(("functions.calculator",), required=True)
    assert as_tool_choice("calculator", tools) == as_tool_choice("functions.calculator", tools) == expected
    with pytest.raises(InputError, match="shell"):
        as_tool_choice("shell", tools)


def test_a_chat_that_cannot_choose_is_refused_at_once(masked: Masked) -> None:
    with Model(ScriptedBackend([]), masked.tok, ModelCard("test")) as model, pytest.raises(InputError):
        model.chat(tools=[add], tool_choice="shell")


def test_the_next_prompt_renders_only_what_is_new(chat_of: Any) -> None:
    chat, backend = chat_of(THINK + NEXT + CALL, THINK + NEXT + FINAL, FINAL)
    chat.send("What?")
    chat.send("And?")
    first, second, third = backend.prompts
    assert second[: len(first) + len(backend.answers[0])] == first + backend.answers[0]
    assert third[: len(first) - 2] == first[:-2]
    assert third != second
