"""HarmonyEncoding: rendering, parsing and the vocabulary behind openai-harmony's method names.

It works offline: the vocabulary is in the package. Messages are rendered in canonical form, token for
token as there.
"""

import re
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Literal, NoReturn

from pydantic import BaseModel

from ossia.harmony import messages as ossia
from ossia.harmony.compat.content import Role
from ossia.harmony.compat.convert import declares_functions, message_from_ossia, parts_to_ossia
from ossia.harmony.compat.errors import HarmonyError, UnknownEncodingError, as_harmony_error
from ossia.harmony.compat.messages import Conversation, Message
from ossia.harmony.compat.parser import StreamableParser
from ossia.harmony.parse import parse
from ossia.harmony.render import drop_finished_analysis, render_message
from ossia.tokenizer import O200kHarmony, load_o200k_harmony

# Names that openai-harmony gives to ids: 200018 has another one as well, 201088 is past the vocabulary.
_NAMES = {200_018: b"<|reserved_200018|>", 201_088: b"<|reserved_201088|>"}
_LAST = 201_088


class HarmonyEncodingName(StrEnum):
    """The one encoding there is."""

    HARMONY_GPT_OSS = "HarmonyGptOss"


class RenderConversationConfig(BaseModel):
    """`auto_drop_analysis`: leave out the analysis of turns that reached their final."""

    auto_drop_analysis: bool = True


class RenderOptions(BaseModel):
    """`conversation_has_function_tools`: the system message says where calls to functions must go."""

    conversation_has_function_tools: bool = False


def load_harmony_encoding(name: str | HarmonyEncodingName) -> "HarmonyEncoding":
    """Return the encoding of that name; raises UnknownEncodingError (a ValueError) for any other."""
    known = HarmonyEncodingName.HARMONY_GPT_OSS.value
    if str(name) != known:
        raise UnknownEncodingError(
            f"Invalid HarmonyEncodingName: {name}", value=str(name), limit=known, remedy=f"Use {known!r}."
        )
    return HarmonyEncoding(load_o200k_harmony())


def raise_disallowed_special_token(token: str) -> NoReturn:
    """Raise HarmonyError for a control token's name found in ordinary text."""
    raise HarmonyError(
        f"Encountered text corresponding to disallowed special token {token!r}.",
        value=token,
        limit="text without names of control tokens",
        remedy=(
            f"Pass allowed_special={{{token!r}}} to encode it as the control token, or "
            "disallowed_special=() to encode it as ordinary text."
        ),
    )


class HarmonyEncoding:
    """Text, messages and token ids of o200k_harmony."""

    def __init__(self, tok: O200kHarmony) -> None:
        self._tok = tok
        self._specials = {name: i for name, i in tok.special_tokens.items() if name != "<|endofprompt|>"}
        self._names = frozenset(self._specials)
        self._special_ids = frozenset(self._specials.values()) | {_LAST}

    @property
    def name(self) -> str:
        return HarmonyEncodingName.HARMONY_GPT_OSS.value

    @property
    def tokenizer(self) -> O200kHarmony:
        """Ossia's tokenizer, for what has no name in this API."""
        return self._tok

    @cached_property
    def special_tokens_set(self) -> set[str]:
        """Names of the control tokens that text can be encoded to."""
        return set(self._specials)

    def render_conversation_for_completion(
        self,
        conversation: Conversation,
        next_turn_role: Role,
        config: RenderConversationConfig | None = None,
    ) -> list[int]:
        """Return the ids of a conversation and the opening of the next message.

        Raises HarmonyError for a message that cannot be rendered.
        """
        ids = self.render_conversation(conversation, config)
        return [*ids, self._tok.markers.start, *self._tok.encode(Role(next_turn_role).value)]

    def render_conversation(
        self, conversation: Conversation, config: RenderConversationConfig | None = None
    ) -> list[int]:
        """Return the ids of a conversation; raises HarmonyError for a message that cannot be rendered."""
        with as_harmony_error():
            functions = declares_functions(conversation)
            messages = [parts_to_ossia(message, functions) for message in conversation.messages]
            if config is None or config.auto_drop_analysis:
                kept = {id(message) for message in drop_finished_analysis([parts[0] for parts in messages])}
                messages = [parts for parts in messages if id(parts[0]) in kept]
            return [i for parts in messages for i in self._render(parts, functions)]

    def render_conversation_for_training(
        self, conversation: Conversation, config: RenderConversationConfig | None = None
    ) -> list[int]:
        """Return the ids of a conversation whose last message, if it is a final, ends in ``<|return|>``."""
        ids = self.render_conversation(conversation, config)
        last = conversation.messages[-1] if conversation.messages else None
        if last is not None and last.author.role == Role.ASSISTANT and last.channel == "final":
            ids[-1] = self._tok.markers.return_
        return ids

    def render(self, message: Message, render_options: RenderOptions | None = None) -> list[int]:
        """Return the ids of one message; raises HarmonyError if it cannot be rendered."""
        functions = render_options is not None and render_options.conversation_has_function_tools
        with as_harmony_error():
            return self._render(parts_to_ossia(message, functions), functions)

    def _render(self, parts: list[ossia.Message], functions: bool) -> list[int]:
        """One header, the contents each encoded by itself, one end."""
        first, *others = [render_message(part, self._tok, valid_functions=functions) for part in parts]
        if not others:
            return first
        body = first.index(self._tok.markers.message) + 1
        return [*first[:-1], *(i for ids in others for i in ids[body:-1]), first[-1]]

    def parse_messages_from_completion_tokens(
        self, tokens: Sequence[int], role: Role | None = None, *, strict: bool = True
    ) -> list[Message]:
        """Return the messages in `tokens`; `role` is given when they continue a prompt that named it.

        `strict` raises HarmonyError for malformed headers; otherwise nothing is malformed enough to raise.
        """
        messages, notes = parse(tokens, self._tok, None if role is None else Role(role).value)
        if strict and (notes or not tokens):  # token by token, to raise for what openai-harmony refuses
            parser = StreamableParser(self, role)
            for token in tokens:
                parser.process(token)
            return parser.process_eos().messages
        return [message_from_ossia(message) for message in messages]

    def decode_utf8(self, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`; raises HarmonyError for unknown ids and for invalid UTF-8."""
        try:
            return self._decode_bytes(tokens).decode()
        except UnicodeDecodeError as cause:
            raise HarmonyError(
                f"Could not decode tokens: Invalid utf-8 sequence: {cause.reason} at byte {cause.start}",
                value=list(tokens),
                remedy="Use decode(), which puts U+FFFD in their place.",
            ) from cause

    def decode(self, tokens: Sequence[int], errors: str = "replace") -> str:
        """Return the text of `tokens`, `errors` as in bytes.decode; raises HarmonyError for unknown ids."""
        return self._decode_bytes(tokens).decode(errors=errors)

    def _decode_bytes(self, tokens: Sequence[int]) -> bytes:
        ids = list(tokens)
        if ids and not 0 <= min(ids) <= max(ids) <= _LAST:
            bad = next(i for i in ids if not 0 <= i <= _LAST)
            raise HarmonyError(
                f"Invalid token for decoding: {bad}",
                value=bad,
                limit=f"0 to {_LAST}",
                remedy="Check the ids.",
            )
        if _NAMES.keys().isdisjoint(ids):
            return self._tok.decode_bytes(ids)
        return b"".join(_NAMES.get(i) or self._tok.decode_bytes([i]) for i in ids)

    def encode(
        self,
        text: str,
        *,
        allowed_special: Literal["all"] | AbstractSet[str] = frozenset(),
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> list[int]:
        """Return the ids of `text`, in which the names in `allowed_special` are control tokens.

        Raises HarmonyError for a name in `disallowed_special` ("all": every one that is not allowed);
        with ``()`` names that are not allowed are ordinary text.
        """
        names = self._names if "<|" in text else frozenset[str]()  # those that could stand in it
        allowed = names if allowed_special == "all" else names.intersection(allowed_special)
        refused = names - allowed if disallowed_special == "all" else frozenset(disallowed_special)
        if refused and (match := _any_of(refused).search(text)):
            raise_disallowed_special_token(match.group())
        return self._encode_with(text, allowed) if allowed else self._tok.encode(text)

    def _encode_with(self, text: str, names: frozenset[str]) -> list[int]:
        ids: list[int] = []
        done = 0
        for match in _any_of(names).finditer(text):
            ids += self._tok.encode(text[done : match.start()])
            ids.append(self._specials[match.group()])
            done = match.end()
        return ids + self._tok.encode(text[done:])

    def is_special_token(self, token: int) -> bool:
        """Is this the id of a control token?"""
        return token in self._special_ids

    def stop_tokens(self) -> list[int]:
        """Ids that end a message."""
        marks = self._tok.markers
        return [marks.return_, marks.end, marks.call]

    def stop_tokens_for_assistant_actions(self) -> list[int]:
        """Ids that end the assistant's sampling: ``<|return|>`` and ``<|call|>``."""
        marks = self._tok.markers
        return [marks.return_, marks.call]


@lru_cache(maxsize=16)
def _any_of(names: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(names))))
