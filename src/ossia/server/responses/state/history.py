"""What was said before a request: behind `previous_response_id`, in a `conversation`, or by reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, cast

from ossia.errors import ConflictError, InputError, NotFoundError, PreviousResponseError
from ossia.server.declared import declare
from ossia.server.responses.reading import History, InputReader, Unseal
from ossia.server.responses.state.archive import UNDER_WAY, Archive
from ossia.server.responses.state.records import loaded_history
from ossia.server.store.records import StoredItem, StoredResponse

_NOTHING: Mapping[str, StoredResponse] = {}


@dataclass(frozen=True, slots=True)
class Before:
    """A request's past. `conversation_id`: the one it goes on with, and adds to."""

    history: History = field(default_factory=History)
    conversation_id: str | None = None


async def read_past(
    archive: Archive,
    owner: str,
    body: Mapping[str, Any],
    unseal: Unseal,
    kept: Mapping[str, StoredResponse] = _NOTHING,
) -> Before:
    """What the request `body` goes on from. `kept`: responses known besides those of the archive, by id.

    Raises PreviousResponseError, ConflictError where that is still being answered, NotFoundError for a
    conversation, and InputError for both at once.
    """
    previous, conversation_id = body.get("previous_response_id"), conversation_of(body)
    if previous and conversation_id:
        raise InputError(
            "previous_response_id and conversation exclude each other",
            value=previous,
            remedy="Send one of them.",
            param="previous_response_id",
        )
    if conversation_id:
        await archive.conversation(owner, conversation_id)
        items = await archive.items(owner, conversation_id)
        return Before(_of_items(items, body, unseal), conversation_id)
    if not isinstance(previous, str) or not previous:
        return Before()
    return Before(await _of_chain(archive, owner, previous, body, unseal, kept))


def conversation_of(body: Mapping[str, Any]) -> str | None:
    """The id of the conversation a request names; raises InputError for anything but an id."""
    value: object = body.get("conversation")
    id: object = cast(dict[str, Any], value).get("id") if isinstance(value, dict) else value
    if value is None:
        return None
    if isinstance(id, str) and id:
        return id
    raise InputError(
        "conversation is neither an id nor an object with one",
        value=repr(cast(object, value))[:40],
        limit="an id",
        remedy="Give the id of a conversation.",
        param="conversation",
    )


async def without_references(archive: Archive, owner: str, body: dict[str, Any]) -> dict[str, Any]:
    """The request with the items in place of references to them; raises NotFoundError for one that is
    not here."""
    given: object = body.get("input")
    if not isinstance(given, list):
        return body
    known: dict[str, dict[str, Any]] = {}
    items: list[object] = []
    for at, item in enumerate(cast(list[object], given)):
        id = _reference(item)
        if id is not None and id not in known:
            known |= await archive.items_beside(owner, id)
        if id is not None and id not in known:
            raise NotFoundError(
                f"Item with id '{id}' not found.",
                value=id,
                remedy="Send the item itself, or store responses.",
                param=f"input[{at}]",
            )
        items.append(item if id is None else known[id])
    return {**body, "input": items}


def _reference(item: object) -> str | None:
    """The id of the item that this one stands for; None where it stands for itself."""
    fields = cast(dict[str, Any], item) if isinstance(item, dict) else {}
    kind, id = fields.get("type"), fields.get("id")
    refers = kind == "item_reference" or (kind is None and "role" not in fields)
    return id if refers and isinstance(id, str) else None


async def _of_chain(
    archive: Archive,
    owner: str,
    id: str,
    body: Mapping[str, Any],
    unseal: Unseal,
    kept: Mapping[str, StoredResponse],
) -> History:
    turns: list[StoredResponse] = []
    at: str | None = id
    while at is not None and all(turn.id != at for turn in turns):
        record = kept.get(at) or await archive.find(owner, at)
        if record is None:
            raise PreviousResponseError(
                f"Previous response with id '{id}' not found.",
                value=id,
                remedy="Send the conversation itself, or store its responses.",
                param="previous_response_id",
            )
        if record.status in UNDER_WAY:
            raise ConflictError(
                f"The response '{id}' is still being answered.",
                value=record.status,
                remedy="Go on from it when it has ended.",
                param="previous_response_id",
            )
        turns.append(record)
        at = record.previous_id
    first = turns[-1]
    items = [] if first.conversation_id is None else await _items_before(archive, owner, first)
    past = _of_items(items, body, unseal)
    return _joined(past, [saved for turn in reversed(turns) for saved in turn.messages])


async def _items_before(archive: Archive, owner: str, record: StoredResponse) -> list[StoredItem]:
    """What was in its conversation before a response; nothing where that is gone."""
    items = await archive.items(owner, record.conversation_id or "") if archive.stores else []
    own = {item["id"] for item in [*record.input_items, *record.body.get("output", ())]}
    first = next((at for at, item in enumerate(items) if item.id in own), 0)
    return items[:first]


def _of_items(items: Sequence[StoredItem], body: Mapping[str, Any], unseal: Unseal) -> History:
    """Items as messages: as they were sampled where that is known, else as a request's are read."""
    declared = declare(body.get("tools"))
    history = History()
    for sampled, group in groupby(items, lambda item: bool(item.messages)):
        if sampled:
            history = _joined(history, [saved for item in group for saved in item.messages])
            continue
        reader = InputReader(declared, unseal, history)
        reader.read([item.item for item in group], "conversation")
        history = reader.history()
    return history


def _joined(before: History, saved: Sequence[dict[str, Any]]) -> History:
    after = loaded_history(saved)
    return History(
        (*before.lead, *after.lead), (*before.messages, *after.messages), {**before.calls, **after.calls}
    )
