"""Model and Chat: the Python interface, synchronous and asynchronous.

    with ossia.load("pocket") as model:
        chat = model.chat(tools=[get_weather], effort="low")
        print(chat.send("Will it rain in Busan?"))

A `Model` is for any number of chats, threads and event loops at once; a `Chat` answers one question at a
time.
"""

from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from contextlib import aclosing, closing
from datetime import date
from types import TracebackType
from typing import Any, Self, Unpack

from ossia.agent.card import ModelCard, opening
from ossia.agent.effort import parse_effort
from ossia.agent.events import Event, Finished
from ossia.agent.limits import Limits
from ossia.agent.loop import run
from ossia.agent.relay import LoopThread
from ossia.agent.reply import Recorder, Reply
from ossia.agent.saved import SavedChat, chat_from_dict, chat_to_dict, check_history
from ossia.agent.steering.control import Control
from ossia.agent.steering.options import (
    AnswerOptions,
    AnyFormat,
    AnyTool,
    AnyToolChoice,
    as_format,
    as_tool,
    as_tool_choice,
    encodable,
    sampling_of,
)
from ossia.agent.translate import StopStrings
from ossia.backends.base import Backend
from ossia.errors import InputError
from ossia.harmony.grammar import GrammarCompiler
from ossia.harmony.incremental import Rendering
from ossia.harmony.messages import Conversation, Effort, Message, user
from ossia.model.sampling import SamplingParams
from ossia.tokenizer.base import Tokenizer
from ossia.tools.base import Tool
from ossia.tools.toolbox import Toolbox

__all__ = ["Chat", "Model", "ModelCard", "Reply"]

_NO_LIMITS = Limits()


class Model:
    """A backend, its tokenizer and its card. A context manager; `close` frees what it holds.

    `grammar`: the compiler for `tok`, where one was begun while the model was loaded; one is made where the
    backend obeys masks.
    """

    def __init__(
        self, backend: Backend, tok: Tokenizer, card: ModelCard, grammar: GrammarCompiler | None = None
    ) -> None:
        self.backend = backend
        self.tok = tok
        self.card = card
        self._grammar = (grammar or GrammarCompiler(tok)) if backend.capabilities.masks else None
        self._thread = LoopThread()
        self._closed = False

    def chat(
        self,
        system: str | None = None,
        tools: Iterable[AnyTool] = (),
        effort: str = "medium",
        *,
        max_tokens: int | None = None,
        max_reasoning_tokens: int | None = None,
        timeout_s: float | None = None,
        max_turns: int = _NO_LIMITS.turns,
        max_calls: int | None = None,
        stop: Sequence[str] = (),
        stop_repetition: bool = True,
        grammar: bool = True,
        tool_choice: AnyToolChoice = "auto",
        response_format: AnyFormat | None = None,
        clock: Callable[[], date] = date.today,
        **sampling: Any,
    ) -> "Chat":
        """Begin a conversation.

        `system` is the application's instruction. `tools` are Tools or plain Python functions. `max_tokens`,
        `timeout_s` (seconds) and `max_turns` limit each answer as a whole, reasoning and calls included, and
        `max_calls` its calls; at `max_reasoning_tokens` the chain of thought is closed. `stop` strings end
        its text, and `stop_repetition` an answer that only repeats itself. `tool_choice`: auto, none,
        required, or the name of the tool to call first. `response_format`: a JSON Schema the answer
        satisfies. Both need the `grammar`, which keeps the model to well-formed Harmony. `sampling`:
        temperature, top_p, top_k, min_p, seed and the other fields of SamplingParams; the temperature is the
        card's where none is given. `clock` gives the date the model is told. Raises InputError,
        ToolDefinitionError.
        """
        return Chat(
            self,
            system=system,
            tools=tools,
            effort=effort,
            sampling=sampling_of(sampling, self.card),
            limits=Limits(max_turns, max_tokens, timeout_s, max_reasoning_tokens, stop_repetition),
            stop=stop,
            grammar=grammar,
            tool_choice=tool_choice,
            response_format=response_format,
            max_calls=max_calls,
            clock=clock,
        )

    def answer(
        self, conversation: Conversation, *, grammar: bool = True, **options: Unpack[AnswerOptions]
    ) -> Generator[Event, None, None]:
        """Answer the end of any conversation; as `loop.run`, from synchronous code.

        Closing the generator cancels the answer. Asynchronous tools run in the model's own event loop.
        """
        return self._thread.iterate(lambda: self.aanswer(conversation, grammar=grammar, **options))

    def aanswer(
        self, conversation: Conversation, *, grammar: bool = True, **options: Unpack[AnswerOptions]
    ) -> AsyncGenerator[Event, None]:
        """Answer the end of any conversation; as `loop.run`, in the caller's event loop."""
        if options.get("sampling") is None:
            options["sampling"] = sampling_of({}, self.card)
        compiler = self._grammar if grammar else None
        return run(self.backend, self.tok, conversation, grammar=compiler, **options)

    def close(self) -> None:
        """Stop; answers under way end with BackendError. Closing twice is no mistake."""
        if not self._closed:
            self._closed = True
            try:
                self._thread.run(self.backend.close())
            finally:
                self._thread.close()

    async def aclose(self) -> None:
        """As `close`, from a coroutine."""
        if not self._closed:
            self._closed = True
            try:
                await self.backend.close()
            finally:
                self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Chat:
    """A conversation with a model.

    Its settings (`effort`, `system`, `tools`, `tool_choice`, `response_format`, `max_calls`, `grammar`,
    `sampling`, `limits`, `stop`) may change between answers. An answer that is left early (a stream closed,
    Ctrl-C, a cancelled task, an error) leaves the conversation whole: if part of its final text had been
    given out, question and answer stay, the answer as far as it was seen; otherwise the question is taken
    back too, as if it had not been asked.
    """

    def __init__(
        self,
        model: Model,
        *,
        system: str | None = None,
        tools: Iterable[AnyTool] = (),
        effort: str = "medium",
        sampling: SamplingParams | None = None,
        limits: Limits = _NO_LIMITS,
        stop: Sequence[str] = (),
        grammar: bool = True,
        tool_choice: AnyToolChoice = "auto",
        response_format: AnyFormat | None = None,
        max_calls: int | None = None,
        clock: Callable[[], date] = date.today,
    ) -> None:
        StopStrings(stop)
        self.model = model
        self.system = system
        self.tools = tools
        self.effort = effort
        self.sampling = sampling or sampling_of({}, model.card)
        self.limits = limits
        self.stop = tuple(stop)
        self.grammar = grammar
        as_tool_choice(tool_choice, self.tools)
        self.tool_choice = tool_choice
        self.response_format = response_format
        self.max_calls = max_calls
        self._clock = clock
        self._today = clock()
        self._history: tuple[Message, ...] = ()
        self._answering: Recorder | None = None
        self._control = Control()  # of the answer under way
        self._rendering = Rendering(model.tok, schema="full")

    @property
    def system(self) -> str | None:
        """The application's instruction."""
        return self._system

    @system.setter
    def system(self, text: str | None) -> None:
        self._system = None if text is None else encodable(text, "the system text")

    @property
    def effort(self) -> Effort:
        """How long the model thinks: low, medium or high. Changing it computes the conversation anew."""
        return self._effort

    @effort.setter
    def effort(self, name: str) -> None:
        self._effort: Effort = parse_effort(name)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What the model may call. Changing it computes the conversation anew."""
        return self._tools

    @tools.setter
    def tools(self, tools: Iterable[AnyTool]) -> None:
        wrapped = tuple(as_tool(t) for t in tools)
        Toolbox(wrapped)
        self._tools = wrapped

    @property
    def history(self) -> tuple[Message, ...]:
        """The messages so far, without the opening ones. Setting it raises InputError while answering."""
        return self._history

    @history.setter
    def history(self, messages: Iterable[Message]) -> None:
        self._be_idle()
        self._history = check_history(messages)

    @property
    def conversation(self) -> Conversation:
        """Everything, from the system message on, as it is rendered next."""
        return Conversation((*self._opening(), *self._history))

    def send(self, text: str) -> Reply:
        """Ask, and wait for the answer. Raises InputError, ContextLengthError, BackendError."""
        recorder = Recorder()
        with closing(self.stream(text)) as events:
            for event in events:
                recorder.take(event)
        return recorder.reply()

    def stream(self, text: str) -> Generator[Event, None, None]:
        """Ask, and follow the answer event by event; closing the generator cancels the answer."""
        return self._follow(_question(text))

    async def asend(self, text: str) -> Reply:
        """As `send`, in the caller's event loop."""
        recorder = Recorder()
        async with aclosing(self.astream(text)) as events:
            async for event in events:
                recorder.take(event)
        return recorder.reply()

    def astream(self, text: str) -> AsyncGenerator[Event, None]:
        """As `stream`, in the caller's event loop; closing it or cancelling its task cancels the answer."""
        return self._afollow(_question(text))

    def answer_now(self) -> None:
        """Have the answer under way close its chain of thought and come to its final; from any thread."""
        self._control.answer_now()

    def undo(self) -> str | None:
        """Take the last question and its answer back; returns the question, None if there is none."""
        self._be_idle()
        for i in range(len(self._history) - 1, -1, -1):
            if self._history[i].role == "user":
                question = self._history[i].text
                self._history = self._history[:i]
                return question
        return None

    def reset(self) -> None:
        """Forget the conversation; settings and tools stay, the date is read anew."""
        self._be_idle()
        self._history = ()
        self._today = self._clock()

    def to_dict(self) -> dict[str, Any]:
        """The conversation as JSON values (see docs/python.md); of the tools only their names."""
        names = tuple(t.spec.name for t in self._tools)
        saved = SavedChat(self.model.card.name, self._effort, self._system, names, self._history)
        return chat_to_dict(saved)

    @classmethod
    def from_dict(
        cls, model: Model, data: object, *, tools: Iterable[AnyTool] = (), **options: Any
    ) -> "Chat":
        """Go on with what `to_dict` saved; `options` as for `Model.chat`. Raises InputError."""
        saved = chat_from_dict(data, model.tok)
        chat = model.chat(saved.system, tools, saved.effort, **options)
        chat.history = saved.messages
        return chat

    def _opening(self) -> tuple[Message, ...]:
        return opening(
            self.model.card, effort=self._effort, today=self._today, system=self._system, tools=self._tools
        )

    def _be_idle(self) -> None:
        if self._answering is not None:
            raise InputError(
                "this chat is answering",
                limit="one answer at a time",
                remedy="Finish or close the stream first, or use another chat of the same model.",
            )

    def _follow(self, question: Message) -> Generator[Event, None, None]:
        recorder, request = self._begin(question)
        try:
            with closing(self.model.answer(**request)) as events:
                for event in events:
                    self._take(event, recorder)
                    yield event
        finally:
            self._end(question, recorder)

    async def _afollow(self, question: Message) -> AsyncGenerator[Event, None]:
        recorder, request = self._begin(question)
        try:
            async with aclosing(self.model.aanswer(**request)) as events:
                async for event in events:
                    self._take(event, recorder)
                    yield event
        finally:
            self._end(question, recorder)

    def _begin(self, question: Message) -> tuple[Recorder, dict[str, Any]]:
        self._be_idle()
        begun = self._opening()
        self._control = Control()
        options: AnswerOptions = {
            "tools": self._tools,
            "sampling": self.sampling,
            "limits": self.limits,
            "stop": self.stop,
            "tool_choice": as_tool_choice(self.tool_choice, self._tools),
            "response_format": as_format(self.response_format),
            "max_calls": self.max_calls,
            "control": self._control,
            "rendering": self._rendering,
        }
        conversation = Conversation((*begun, *self._history, question))
        recorder = self._answering = Recorder(len(begun))
        return recorder, {"conversation": conversation, "grammar": self.grammar, **options}

    def _take(self, event: Event, recorder: Recorder) -> None:
        recorder.take(event)
        if isinstance(
            event, Finished
        ):  # settled before the event is seen, so that the chat can go on at once
            self._history = event.conversation.messages[recorder.opening :]
            self._answering = None

    def _end(self, question: Message, recorder: Recorder) -> None:
        if self._answering is recorder:
            self._answering = None
            if kept := recorder.kept():
                self._history = (*self._history, question, *kept)


def _question(text: str) -> Message:
    if not encodable(text, "the prompt").strip():
        raise InputError(
            "the prompt is empty", value=text, limit="at least one character", remedy="Write something."
        )
    return user(text)
