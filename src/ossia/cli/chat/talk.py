"""One chat as the commands see it: the conversation, which tools are switched on, how full the context is."""

from collections.abc import AsyncGenerator, Generator

from ossia.agent import events
from ossia.agent.model import Chat, Model
from ossia.agent.saved import SavedChat, chat_from_dict
from ossia.cli.answer.opening import TOOLBOX
from ossia.harmony.messages import Effort
from ossia.tools.base import Tool


class Talk:
    """Wraps a `Chat`. `place`: where its model lies. `usage`: the last whole answer's, None before it."""

    def __init__(self, chat: Chat, place: str = "") -> None:
        self.chat = chat
        self.place = place
        self.usage: events.Usage | None = None
        self._toolbox: dict[str, Tool] = {name: make() for name, make in TOOLBOX.items()}

    @property
    def model(self) -> Model:
        return self.chat.model

    @property
    def effort(self) -> Effort:
        return self.chat.effort

    @property
    def toolbox(self) -> tuple[str, ...]:
        """Names of all tools there are."""
        return tuple(self._toolbox)

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools the model may call."""
        return tuple(tool.spec.name for tool in self.chat.tools)

    def switch_tools(self, names: tuple[str, ...]) -> None:
        """Let the model call the tools of `names`, and no others."""
        self.chat.tools = [tool for name, tool in self._toolbox.items() if name in names]

    async def ask(self, text: str) -> AsyncGenerator[events.Event, None]:
        """Ask and follow the answer; closing the generator stops it."""
        async for event in self.chat.astream(text):
            self._take(event)
            yield event

    def ask_now(self, text: str) -> Generator[events.Event, None, None]:
        """As `ask`, for synchronous code."""
        for event in self.chat.stream(text):
            self._take(event)
            yield event

    def answer_now(self) -> None:
        """Have the answer under way come to its final."""
        self.chat.answer_now()

    def undo(self) -> str | None:
        """Take the last question and its answer back; returns the question, None where there is none."""
        self.usage = None
        return self.chat.undo()

    def reset(self) -> None:
        """Forget the conversation."""
        self.chat.reset()
        self.usage = None

    def restore(self, saved: SavedChat) -> None:
        """Go on with a saved conversation: its effort, its instructions, those of its tools we have."""
        self.chat.history = saved.messages
        self.chat.effort = saved.effort
        self.chat.system = saved.system
        self.switch_tools(saved.tools)
        self.usage = None

    def saved(self) -> SavedChat:
        """Return what `/save` writes."""
        return chat_from_dict(self.chat.to_dict(), self.model.tok)

    def context(self) -> tuple[int, int, int]:
        """Return tokens used, the most there can be, and the percentage."""
        used = self.usage.context_tokens if self.usage else 0
        limit = self.model.backend.context_length
        return used, limit, round(100 * used / limit)

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.Finished):
            self.usage = event.usage
