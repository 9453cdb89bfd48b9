"""A conversation in whatever form it was found: says which form it is, and reads it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from ossia.errors import InputError
from ossia.harmony.formats.chat import conversation_from_chat
from ossia.harmony.formats.fields import as_list, effort_of
from ossia.harmony.formats.responses import ITEMS, conversation_from_response
from ossia.harmony.formats.text import has_markers, ids_from_text
from ossia.harmony.messages import Conversation
from ossia.tokenizer.base import Tokenizer

Kind = Literal["text", "ids", "chat", "responses"]
_FORMS = (
    "Harmony text (<|start|>…<|message|>…)",
    "token ids as a JSON list",
    'chat messages (a JSON list, or an object with "messages")',
    'a Responses object (with "output" or "input") or a list of its items',
)


@dataclass(frozen=True, slots=True)
class Document:
    """What was found: token ids of Harmony text or of a list of ids, the conversation of the other two."""

    kind: Kind
    ids: tuple[int, ...] | None = None
    conversation: Conversation | None = None


def read_document(data: str, tok: Tokenizer) -> Document:
    """Read `data` as Harmony text, token ids, chat messages or a Responses object, whichever it is.

    A line end at the end of Harmony text belongs to the file, not to the conversation. Raises InputError for
    data that is none of these, saying what was looked for, or that is one but wrong in a place it names.
    """
    data = data.removeprefix("\ufeff")
    if data.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as error:
            if not has_markers(data, tok):
                raise _unknown(f"it begins like JSON, but is none: {error}") from None
        else:
            return _from_json(value, tok)
    if has_markers(data, tok):
        return Document("text", ids=tuple(ids_from_text(_without_last_line_end(data), tok)))
    raise _unknown("it is neither JSON nor does it hold a control token" if data.strip() else "it is empty")


def _from_json(value: object, tok: Tokenizer) -> Document:
    if isinstance(value, Mapping):
        return _from_object(cast(Mapping[str, Any], value), tok)
    items = as_list(value, "the document")
    if items and all(type(item) is int for item in items):
        return Document("ids", ids=tuple(items))
    if items and all(isinstance(item, Mapping) for item in items):
        if any(item.get("type") in ITEMS for item in items):
            return Document("responses", conversation=conversation_from_response(items))
        if any("role" in item for item in items):
            return Document("chat", conversation=conversation_from_chat(items))
    raise _unknown("it is a list of something else")


def _from_object(fields: Mapping[str, Any], tok: Tokenizer) -> Document:
    if "messages" in fields:
        effort = effort_of(fields.get("reasoning_effort"), "reasoning_effort")
        messages = as_list(fields["messages"], "messages")
        conversation = conversation_from_chat(messages, fields.get("tools"), effort=effort)
        return Document("chat", conversation=conversation)
    if "output" in fields or "input" in fields:
        return Document("responses", conversation=conversation_from_response(fields))
    if isinstance(text := fields.get("text"), str) and has_markers(text, tok):
        return Document("text", ids=tuple(ids_from_text(text, tok)))
    raise _unknown(f"it is an object with {', '.join(map(repr, list(fields)[:8])) or 'nothing in it'}")


def _without_last_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _unknown(what: str) -> InputError:
    return InputError(
        f"this is no conversation: {what}",
        value=what,
        limit=_FORMS,
        remedy=f"Looked for: {'; '.join(_FORMS)}.",
    )
