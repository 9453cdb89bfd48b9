"""A conversation being put together in Harmony's terms, whichever API it was written for.

It knows how instructions, thought, calls and results stand in Harmony, and which result answers which call.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ossia.harmony.formats.fields import checked, wrong
from ossia.harmony.header import CONSTRAIN
from ossia.harmony.messages import (
    Conversation,
    DeveloperContent,
    Effort,
    Message,
    SystemContent,
    ToolNamespace,
    ToolSpec,
    tool_result,
    user,
)

_FUNCTIONS = "functions."


class Draft:
    """Takes what was said in its order; `conversation` gives what came of it.

    The Harmony system message is the server's own and opens the conversation; `system` overrides it.
    An API's system and developer text becomes Harmony's developer message: what comes before anybody
    spoke in one, with the tools, what comes later where it comes.
    """

    def __init__(
        self,
        tools: Sequence[ToolSpec] = (),
        *,
        effort: Effort | None = None,
        system: SystemContent | None = None,
    ) -> None:
        system = system or SystemContent()
        self._system = system if effort is None else replace(system, effort=effort)
        self._tools = tuple(tools)
        self._texts = {tool.name for tool in tools if tool.text_input is not None}
        self._instructions: list[str] = []
        self._messages: list[Message] = []
        self._unanswered: list[tuple[str | None, str]] = []  # call id and recipient
        self._calls: dict[str, str] = {}  # by id

    def instruct(self, text: str) -> None:
        """Text of the application: what the model is told to do."""
        if self._messages:
            self._messages.append(Message("developer", DeveloperContent(text)))
        else:
            self._instructions.append(text)

    def ask(self, text: str, name: str | None, where: str) -> None:
        """What a user says; `name` tells several apart."""
        self._messages.append(checked(replace(user(text), name=name), where))

    def think(self, text: str) -> None:
        """The assistant's chain of thought."""
        self._messages.append(Message("assistant", text, channel="analysis"))

    def announce(self, text: str) -> None:
        """What the assistant says to the user before a call."""
        self._messages.append(Message("assistant", text, channel="commentary"))

    def answer(self, text: str) -> None:
        """The assistant's final, which ends the turn."""
        self._messages.append(Message("assistant", text, channel="final"))

    def call(self, name: str, text: str, call_id: str | None, where: str, *, json: bool = True) -> None:
        """A call of the function `name`; not `json`: of a tool that takes plain text."""
        name = name.removeprefix(_FUNCTIONS)
        self.call_to(_FUNCTIONS + name, text, call_id, where, json=json and name not in self._texts)

    def call_to(
        self, recipient: str, text: str, call_id: str | None, where: str, *, json: bool = True
    ) -> None:
        """A call of a tool by its full name, of any namespace."""
        kind = f"{CONSTRAIN}json" if json else None
        message = Message("assistant", text, None, "commentary", recipient, kind)
        self._messages.append(checked(message, where))
        self._unanswered.append((call_id, recipient))
        if call_id is not None:
            self._calls[call_id] = recipient

    def take(self, messages: Iterable[Message]) -> None:
        """Messages as they are."""
        self._messages += messages

    def result(self, text: str, call_id: str | None, name: str | None, where: str) -> None:
        """The answer to a call: the one of that id, else the first unanswered one of that name, or at all."""
        self._messages.append(checked(tool_result(self._answered(call_id, name, where), text), where))

    def know_calls(self, calls: Mapping[str, str]) -> None:
        """Calls made before: whom each id's was for, so that their results find them."""
        self._calls |= calls

    @property
    def calls(self) -> Mapping[str, str]:
        """Whom the call of each id was for."""
        return dict(self._calls)

    @property
    def instructions(self) -> tuple[str, ...]:
        """What was told before anybody spoke."""
        return tuple(self._instructions)

    @property
    def messages(self) -> tuple[Message, ...]:
        """Everything taken after that."""
        return tuple(self._messages)

    def conversation(self) -> Conversation:
        """Everything taken so far, behind its opening."""
        opening = [Message("system", self._system)]
        if self._instructions or self._tools:
            text = "\n\n".join(self._instructions) or None
            spaces = (ToolNamespace("functions", tools=self._tools),) if self._tools else ()
            opening.append(Message("developer", DeveloperContent(text, spaces)))
        return Conversation((*opening, *self._messages))

    def _answered(self, call_id: str | None, name: str | None, where: str) -> str:
        recipient = None if name is None else _FUNCTIONS + name.removeprefix(_FUNCTIONS)
        if call_id is not None:
            if call_id not in self._calls:
                remedy = "Put the call before its result, under the same id."
                raise wrong(where, f"no call has the id {call_id!r}", call_id, tuple(self._calls), remedy)
            recipient = self._calls[call_id]
        for at, (other_id, other) in enumerate(self._unanswered):
            if other_id == call_id if call_id is not None else recipient in (None, other):
                del self._unanswered[at]
                return other
        if recipient is None:
            remedy = "Give the id of the call, or the name of the tool."
            raise wrong(where, "a result without a call", None, "an id or a name", remedy)
        return recipient
