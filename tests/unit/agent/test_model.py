"""Model and Chat: the Python interface, from threads, coroutines and abandoned streams."""

import asyncio
import contextvars
import gc
import json
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import date
from typing import Any

import pytest

from ossia.agent.events import Finished, MessageDone, ReasoningDelta, ResultReady, TextDelta
from ossia.agent.model import Chat, Model, ModelCard
from ossia.backends.base import Capabilities
from ossia.backends.scripted import ScriptedBackend
from ossia.errors import BackendError, ContextLengthError, InputError, OssiaError, ToolDefinitionError
from ossia.harmony.messages import Conversation, DeveloperContent, Message, SystemContent, user
from ossia.model.sampling import SamplingParams, Token
from ossia.tokenizer import Tokenizer
from ossia.tools import calculator

THINK = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant"
FINAL = "<|channel|>final<|message|>It is 42.<|return|>"
CALL = ' to=functions.add<|channel|>commentary<|message|>{"a": 1, "b": 2}<|call|>'
THOUGHT = Message("assistant", "Let me see.", channel="analysis")
ANSWER = (THOUGHT, Message("assistant", "It is 42.", channel="final"))

MakeModel = Callable[..., Model]


@pytest.fixture
def make(tok: Tokenizer, ids: Callable[[str], list[int]]) -> Any:
    made: list[Model] = []

    def build(*answers: str, backend: Any = None, context_length: int = 8192) -> Model:
        backend = backend or ScriptedBackend([ids(a) for a in answers], context_length)
        made.append(Model(backend, tok, ModelCard("test", "You are a test.", "2026-01", english_only=True)))
        return made[-1]

    yield build
    for model in made:
        model.close()
    names = [t.name for t in threading.enumerate()]
    assert "ossia-agent" not in names


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_send(make: MakeModel) -> None:
    reply = make(THINK + FINAL).chat().send("What?")
    assert (reply.text, str(reply), reply.reasoning) == ("It is 42.", "It is 42.", "Let me see.")
    assert (reply.finish_reason, reply.calls, reply.notes) == ("stop", (), ())
    assert reply.usage.steps == 1


def test_the_conversation_goes_on(make: MakeModel) -> None:
    model = make(THINK + FINAL, FINAL)
    chat = model.chat()
    chat.send("What?")
    assert chat.history == (user("What?"), *ANSWER)
    chat.send("Sure?")
    assert [m.text for m in chat.history if m.role == "user"] == ["What?", "Sure?"]
    backend: Any = model.backend
    prompt = model.tok.decode(backend.prompts[1])
    assert "It is 42.<|end|><|start|>user<|message|>Sure?<|end|><|start|>assistant" in prompt
    assert "Let me see." not in prompt


def test_the_opening_says_who_when_how_and_what(make: MakeModel) -> None:
    chat = make().chat("Be brief.", [add], "high", clock=lambda: date(2026, 3, 4))
    system, developer = (m.content for m in chat.conversation.messages)
    assert system == SystemContent("You are a test.", "2026-01", date(2026, 3, 4), "high")
    assert isinstance(developer, DeveloperContent)
    assert developer.instructions == "Be brief."
    assert [t.name for ns in developer.tools for t in ns.tools] == ["add"]
    assert len(make().chat().conversation.messages) == 1


def test_tools_run_and_are_reported(make: MakeModel) -> None:
    reply = make(CALL, FINAL).chat(tools=[add]).send("1 + 2?")
    (call,) = reply.calls
    assert (call.id, call.name, call.result, call.is_error) == ("call_1", "functions.add", "3", False)
    assert json.loads(call.arguments) == {"a": 1, "b": 2}


def test_settings_change_between_answers(make: MakeModel) -> None:
    model = make(FINAL, FINAL)
    chat = model.chat("Be brief.", effort="low")
    chat.send("What?")
    chat.effort = "max"
    chat.system = None
    chat.tools = [add]
    assert (chat.effort, chat.system, chat.tools[0].spec.name) == ("high", None, "add")
    chat.send("What?")
    backend: Any = model.backend
    first, second = (model.tok.decode(p) for p in backend.prompts)
    assert "Reasoning: low" in first
    assert "Be brief." in first
    assert "Reasoning: high" in second
    assert "Be brief." not in second
    assert "type add = " in second


def test_the_card_recommends_a_temperature_and_the_asker_decides(
    tok: Tokenizer, ids: Callable[[str], list[int]]
) -> None:
    backend = ScriptedBackend([ids(FINAL)] * 3)
    with Model(backend, tok, ModelCard("test", temperature=0.25)) as model:
        model.chat().send("a")
        model.chat(temperature=0.75).send("b")
        list(model.answer(Conversation((user("c"),))))
    assert [params.temperature for params in backend.params] == [0.25, 0.75, 0.25]


def test_limits_stop_and_sampling_reach_the_loop(make: MakeModel) -> None:
    model = make(FINAL, FINAL)
    chat = model.chat(max_tokens=5, temperature=0.5, seed=7, stop=["42"])
    assert chat.send("What?").finish_reason == "limit_tokens"
    backend: Any = model.backend
    params: SamplingParams = backend.params[0]
    assert (params.max_tokens, params.temperature, params.seed) == (5, 0.5, 7)
    reply = model.chat(stop=["42"]).send("What?")
    assert (reply.text, reply.finish_reason) == ("It is ", "stop_string")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"effort": "extreme"}, InputError),
        ({"temprature": 1}, InputError),
        ({"temperature": -1}, InputError),
        ({"stop_ids": {1}}, InputError),
        ({"stop": [""]}, InputError),
        ({"stop": "end"}, InputError),
        ({"max_tokens": 0}, InputError),
        ({"timeout_s": float("nan")}, InputError),
        ({"max_turns": -1}, InputError),
        ({"system": "\ud800"}, InputError),
        ({"tools": [lambda x: x]}, ToolDefinitionError),
        ({"tools": [add, add]}, ToolDefinitionError),
    ],
)
def test_impossible_options_are_refused_at_once(
    make: MakeModel, options: dict[str, Any], error: type[OssiaError]
) -> None:
    with pytest.raises(error) as caught:
        make().chat(**options)
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["", "  \n", "half \udc00"])
def test_impossible_prompts_are_refused_at_once(make: MakeModel, text: str) -> None:
    chat = make(FINAL).chat()
    for ask in (chat.send, chat.stream, chat.astream):
        with pytest.raises(InputError):
            ask(text)
    assert chat.history == ()


def test_a_prompt_too_long_is_taken_back(make: MakeModel) -> None:
    chat = make(FINAL, context_length=60).chat()
    with pytest.raises(ContextLengthError):
        chat.send("word " * 100)
    assert chat.history == ()


class Endless:
    """Answers with the given ids and then waits for ever, for any number of requests."""

    capabilities = Capabilities(masks=False, logprobs=False, forced_ids=False, prefix_cache=False)
    context_length = 8192

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = ids
        self.running = 0
        self.closed = False

    async def generate(
        self, prompt_ids: Sequence[int], params: SamplingParams
    ) -> AsyncGenerator[Token, None]:
        self.running += 1
        try:
            for i in self.ids:
                yield Token(i)
            await asyncio.Event().wait()
        finally:
            self.running -= 1

    async def close(self) -> None:
        self.closed = True


def test_a_stream_left_in_the_final_keeps_what_was_seen(
    make: MakeModel, ids: Callable[[str], list[int]]
) -> None:
    backend = Endless(ids(THINK + "<|channel|>final<|message|>It is 42, I think"))
    chat = make(backend=backend).chat()
    seen = ""
    stream = chat.stream("What?")
    for event in stream:
        seen += event.text if isinstance(event, TextDelta) else ""
        if "42" in seen:
            break
    stream.close()
    assert backend.running == 0
    assert chat.history == (user("What?"), ANSWER[0], Message("assistant", seen, channel="final"))


def test_a_stream_left_before_the_final_takes_the_question_back(
    make: MakeModel, ids: Callable[[str], list[int]]
) -> None:
    backend = Endless(ids("<|channel|>analysis<|message|>Let me see"))
    chat = make(backend=backend).chat()
    stream = chat.stream("What?")
    assert isinstance(next(stream), ReasoningDelta)
    stream.close()
    assert (backend.running, chat.history) == (0, ())


def test_a_stream_left_between_the_final_and_the_end_keeps_the_answer(make: MakeModel) -> None:
    chat = make(THINK + FINAL, THINK + FINAL).chat()
    for role_kept, kept in (("analysis", 0), ("final", 3)):
        stream = chat.stream("What?")
        for event in stream:
            if isinstance(event, MessageDone) and event.message.channel == role_kept:
                break
        stream.close()
        assert len(chat.history) == kept


def test_thoughts_of_different_messages_are_paragraphs_of_the_reasoning(make: MakeModel) -> None:
    reply = make(THINK + CALL, THINK + FINAL).chat(tools=[add]).send("1 + 2?")
    assert reply.reasoning == "Let me see.\n\nLet me see."


def test_a_forgotten_stream_is_closed(make: MakeModel, ids: Callable[[str], list[int]]) -> None:
    backend = Endless(ids("<|channel|>final<|message|>It is"))
    chat = make(backend=backend).chat()
    for event in chat.stream("What?"):
        assert isinstance(event, TextDelta)
        break
    gc.collect()
    assert backend.running == 0
    chat.reset()


def test_an_interrupt_while_waiting_closes_the_stream(
    make: MakeModel, ids: Callable[[str], list[int]]
) -> None:
    backend = Endless(ids("<|channel|>final<|message|>It is"))
    chat = make(backend=backend).chat()
    stream = chat.stream("What?")
    next(stream)
    with pytest.raises(KeyboardInterrupt):  # what a generator sees of Ctrl-C
        stream.throw(KeyboardInterrupt)
    assert backend.running == 0
    assert [m.role for m in chat.history] == ["user", "assistant"]


def test_after_finished_the_chat_can_go_on_while_the_stream_is_still_held(make: MakeModel) -> None:
    chat = make(FINAL, FINAL).chat()
    stream = chat.stream("What?")
    for event in stream:
        if isinstance(event, Finished):
            break
    assert len(chat.history) == 2
    chat.send("Sure?")
    stream.close()
    assert len(chat.history) == 4


def test_one_answer_at_a_time(make: MakeModel, ids: Callable[[str], list[int]]) -> None:
    chat = make(backend=Endless(ids("<|channel|>final<|message|>It is"))).chat()
    stream = chat.stream("What?")
    next(stream)
    for forbidden in (lambda: chat.send("Sure?"), chat.reset, chat.undo):
        with pytest.raises(InputError, match="answering"):
            forbidden()
    with pytest.raises(InputError, match="answering"):
        chat.history = ()
    stream.close()
    chat.reset()


def test_an_error_under_way_leaves_the_conversation_whole(make: MakeModel) -> None:
    chat = make(FINAL).chat()
    chat.send("What?")
    before = chat.history
    with pytest.raises(BackendError):
        chat.send("And?")  # the script is at its end
    assert chat.history == before


def test_undo_takes_the_last_exchange_back(make: MakeModel) -> None:
    chat = make(FINAL, CALL, FINAL, FINAL).chat(tools=[add])
    chat.send("One?")
    chat.send("Two?")
    assert chat.undo() == "Two?"
    assert [m.text for m in chat.history] == ["One?", "It is 42."]
    assert (chat.undo(), chat.undo(), chat.history) == ("One?", None, ())


def test_reset_reads_the_date_anew(make: MakeModel) -> None:
    days = iter([date(2026, 1, 1), date(2026, 1, 2)])
    chat = make(FINAL).chat(clock=lambda: next(days))
    chat.send("What?")
    chat.reset()
    (system,) = (m.content for m in chat.conversation.messages)
    assert isinstance(system, SystemContent)
    assert system.current_date == date(2026, 1, 2)


def test_saved_and_loaded_a_chat_renders_the_same(make: MakeModel) -> None:
    model = make("<|channel|>commentary" + CALL.replace("<|channel|>commentary", ""), THINK + FINAL)
    chat = model.chat("Be brief.", [add], "high", clock=lambda: date(2026, 1, 1))
    chat.send("1 + 2?")
    data = json.loads(json.dumps(chat.to_dict()))
    loaded = Chat.from_dict(model, data, tools=[add], clock=lambda: date(2026, 1, 1))
    assert loaded.conversation == chat.conversation
    assert (data["model"], data["effort"], data["tools"]) == ("test", "high", ["add"])


def test_async(make: MakeModel) -> None:
    async def main() -> None:
        async with make(THINK + FINAL, CALL, FINAL) as model:
            chat = model.chat(tools=[add])
            assert (await chat.asend("What?")).text == "It is 42."
            kinds = [type(e) async for e in chat.astream("1 + 2?")]
            assert ResultReady in kinds
            assert kinds[-1] is Finished
            assert len(chat.history) == 3 + 4

    asyncio.run(main())


def test_async_tools_run_in_the_loop_that_asks(make: MakeModel) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def where(a: int, b: int) -> str:
        loops.append(asyncio.get_running_loop())
        return "here"

    where.__name__ = "add"
    chat = make(CALL, FINAL, CALL, FINAL).chat(tools=[where])

    async def main() -> asyncio.AbstractEventLoop:
        await chat.asend("What?")
        return asyncio.get_running_loop()

    assert [asyncio.run(main())] == loops
    assert chat.send("What?").calls[0].result == "here"


def test_async_cancellation_takes_the_question_back(make: MakeModel, ids: Callable[[str], list[int]]) -> None:
    backend = Endless(ids("<|channel|>analysis<|message|>Let me"))
    chat = make(backend=backend).chat()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await chat.asend("What?")

    asyncio.run(main())
    assert (backend.running, chat.history) == (0, ())


def test_many_chats_of_one_model_at_once(make: MakeModel) -> None:
    model = make(*[FINAL] * 20)
    with_threads: list[str] = []

    def ask() -> None:
        with_threads.append(model.chat().send("What?").text)

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()

    async def main() -> list[str]:
        return [r.text for r in await asyncio.gather(*(model.chat().asend("What?") for _ in range(10)))]

    together = asyncio.run(main())
    for thread in threads:
        thread.join()
    assert with_threads + together == ["It is 42."] * 20


def test_context_variables_of_the_asking_thread_reach_tools(make: MakeModel) -> None:
    who = contextvars.ContextVar("who", default="nobody")

    def ask(a: int, b: int) -> str:
        return who.get()

    ask.__name__ = "add"
    who.set("me")
    reply = make(CALL, FINAL).chat(tools=[ask]).send("Who?")
    assert reply.calls[0].result == "me"


def test_a_synchronous_tool_may_ask_the_model_itself(make: MakeModel) -> None:
    model = make(CALL, FINAL, FINAL)

    def nested(a: int, b: int) -> str:
        return model.chat().send("Inner?").text

    nested.__name__ = "add"
    assert model.chat(tools=[nested]).send("Outer?").calls[0].result == "It is 42."


def test_an_asynchronous_tool_that_would_block_its_own_loop_is_told(make: MakeModel) -> None:
    model = make(CALL, FINAL)

    async def nested(a: int, b: int) -> str:
        return model.chat().send("Inner?").text

    nested.__name__ = "add"
    (call,) = model.chat(tools=[nested]).send("Outer?").calls
    assert call.is_error
    assert "block" in (call.result or "")


def test_closing_the_model_ends_what_runs(make: MakeModel, ids: Callable[[str], list[int]]) -> None:
    backend = Endless(ids("<|channel|>final<|message|>It is"))
    model = make(backend=backend)
    stream = model.chat().stream("What?")
    next(stream)
    model.close()
    with pytest.raises(BackendError, match="closed"):
        list(stream)
    assert (backend.closed, backend.running) == (True, 0)
    model.close()
    with pytest.raises(BackendError, match="closed"):
        model.chat().send("What?")


def test_the_card_recommends_a_temperature(tok: Tokenizer, ids: Callable[[str], list[int]]) -> None:
    backend = ScriptedBackend([ids(FINAL)] * 4)
    with Model(backend, tok, ModelCard("cool", temperature=0.25)) as model:
        model.chat(top_k=3).send("What?")
        model.chat(temperature=0.5).send("What?")
        Chat(model).send("What?")
        list(model.answer(model.chat().conversation.append(user("What?"))))
    assert [p.temperature for p in backend.params] == [0.25, 0.5, 0.25, 0.25]


def test_any_conversation_can_be_answered(make: MakeModel) -> None:
    model = make(FINAL, FINAL)
    conversation = model.chat().conversation.append(user("What?"))
    assert isinstance(list(model.answer(conversation))[-1], Finished)

    async def main() -> list[Any]:
        return [event async for event in model.aanswer(conversation, tools=[calculator()])]

    assert isinstance(asyncio.run(main())[-1], Finished)
