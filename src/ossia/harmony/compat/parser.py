"""StreamableParser over Ossia's parser: openai-harmony's properties, kept up to date instead of made anew.

What it says is put together from the parser's events, which recover from anything; strict (the default,
as there) it raises where openai-harmony 0.0.8 raises.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from itertools import islice
from typing import Any, Protocol, Self, cast, overload

from ossia.harmony.compat.content import Role
from ossia.harmony.compat.convert import message_from_ossia
from ossia.harmony.compat.errors import HarmonyError
from ossia.harmony.compat.messages import Message
from ossia.harmony.compat.strictness import Referee
from ossia.harmony.events import ContentDelta, Diagnostic, MessageEnded, MessageStarted, ParseEvent
from ossia.harmony.parse import StreamParser
from ossia.tokenizer import Tokenizer


class StreamState(Enum):
    """What the parser waits for, or is in."""

    EXPECT_START = "ExpectStart"
    HEADER = "Header"
    CONTENT = "Content"


_CONTENT = StreamState.CONTENT


class Encoding(Protocol):
    """What the parser needs of an encoding."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    def stop_tokens(self) -> list[int]: ...


class TokenView(Sequence[int]):
    """The first ids of a growing list, not copied: equal to the list they had been, and read-only."""

    def __init__(self, ids: list[int]) -> None:
        self._ids = ids
        self._length = len(ids)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice):
            return [self._ids[i] for i in range(*index.indices(self._length))]
        return self._ids[range(self._length)[index]]

    def __iter__(self) -> Iterator[int]:
        return islice(self._ids, self._length)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | TokenView):
            return NotImplemented
        return list(self) == list(cast(Sequence[object], other))

    def __add__(self, other: Sequence[int]) -> list[int]:
        return [*self, *other]

    def __radd__(self, other: Sequence[int]) -> list[int]:
        return [*other, *self]

    def __repr__(self) -> str:
        return repr(list(self))


class StreamableParser:
    """Feed ids with `process`, read the properties; `process_eos` when no more come.

    `role` is given when the prompt ended in ``<|start|>`` and that role; None waits for ``<|start|>``.
    """

    def __init__(self, encoding: Encoding, role: Role | None, *, strict: bool = True) -> None:
        self._tok = encoding.tokenizer
        self._start = self._tok.markers.start
        self._stops = frozenset(encoding.stop_tokens())
        self._tokens: list[int] = []
        self._messages: list[Message] = []
        self._role = Role(role) if role is not None else None
        self._delta: str | None = None
        self._referee = Referee(self._tok, self._role) if strict else None
        self._restart(self._role)

    def _restart(self, role: Role | None) -> None:
        """Wait for a message as if nothing had come before; what was parsed stays."""
        self._parser = StreamParser(self._tok, role=role.value if role else None)
        self._state = StreamState.HEADER if role else StreamState.EXPECT_START
        self._header: MessageStarted | None = None
        self._header_ids: list[int] = []
        self._deltas: list[str] = []
        self._text = ""
        self._joined = 0

    def process(self, token: int) -> Self:
        """Take one id; raises HarmonyError for a malformed header if the parser is strict."""
        self._tokens.append(token)
        self._delta = None
        if (referee := self._referee) and (token in self._stops or not referee.in_body):
            self._judge(referee.check, token)
        if self._header is None or token == self._start:
            self._enter_header(token)
        events = self._parser.feed(token)
        for event in events:
            if type(event) is ContentDelta:
                self._state = _CONTENT
                self._deltas.append(event.text)
                self._delta = event.text if self._delta is None else self._delta + event.text
            else:
                self._take(event)
        if not events and token in self._stops:
            self._state = StreamState.EXPECT_START  # text that nobody labelled: the next token decides
        return self

    def process_eos(self) -> Self:
        """Close the message under way; raises HarmonyError in a header if the parser is strict."""
        if self._referee:
            self._judge(self._referee.check_end)
        for event in self._parser.finish():
            self._take(event)
        self._role = self._delta = None
        self._restart(None)
        return self

    @property
    def tokens(self) -> TokenView:
        """Every id that was fed, as a read-only sequence that equals the list."""
        return TokenView(self._tokens)

    @property
    def messages(self) -> list[Message]:
        """Every message that has ended: a new list of the same messages."""
        return list(self._messages)

    @property
    def state(self) -> StreamState:
        return self._state

    @property
    def current_content(self) -> str:
        """The text so far of the message under way; "" outside a body."""
        if self._state is not StreamState.CONTENT:
            return ""
        # Appending to a string that nothing else holds does not copy it.
        text, self._text = self._text, ""
        text += "".join(self._deltas[self._joined :])
        self._joined = len(self._deltas)
        self._text = text
        return text

    @property
    def current_role(self) -> Role | None:
        return Role(self._header.role) if self._header else self._role

    @property
    def current_channel(self) -> str | None:
        return self._header.channel if self._header else None

    @property
    def current_recipient(self) -> str | None:
        return self._header.recipient if self._header else None

    @property
    def current_content_type(self) -> str | None:
        return self._header.content_type if self._header else None

    @property
    def last_content_delta(self) -> str | None:
        """The text that the last id completed; None if it completed none."""
        return self._delta

    @property
    def state_data(self) -> dict[str, Any]:
        """The state as plain values, ids included (built anew at each call: linear in the message)."""
        data: dict[str, Any] = {"state": self._state.value}
        if self._state is StreamState.HEADER:
            return data | {"header_tokens": list(self._header_ids)}
        if self._header is None:
            return data
        header = self._header
        author = {"role": header.role} | ({} if header.name is None else {"name": header.name})
        told = {
            "author": author,
            "recipient": header.recipient,
            "channel": header.channel,
            "content_type": header.content_type,
        }
        return data | {
            "header": told,
            "content_tokens": [i for delta in self._deltas for i in self._tok.encode(delta)],
        }

    def _judge(self, check: Callable[..., None], *token: int) -> None:
        try:
            check(*token)
        except HarmonyError:
            self._role = None
            self._restart(None)
            raise

    def _enter_header(self, token: int) -> None:
        self._state = StreamState.HEADER
        if token == self._start:
            self._header_ids = []
        else:
            self._header_ids.append(token)

    def _take(self, event: ParseEvent) -> None:
        match event:
            case MessageStarted():
                self._state, self._header, self._role = StreamState.CONTENT, event, None
                self._deltas, self._text, self._joined = [], "", 0
            case MessageEnded():
                self._state, self._header, self._delta = StreamState.EXPECT_START, None, None
                self._messages.append(message_from_ossia(event.message))
            case Diagnostic(code="stray-token" | "skipped-header"):
                self._state = StreamState.EXPECT_START
            case _:
                pass
