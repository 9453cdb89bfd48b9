"""`truncation`: where a conversation does not fit the context, its oldest turns go, if the client says so."""

from collections.abc import Sequence

from ossia.agent.events import Note
from ossia.agent.model import Model
from ossia.harmony.incremental import Rendering
from ossia.harmony.messages import Conversation, Message
from ossia.server.responses.request import ResponseRequest

_ROOM = 1024  # tokens kept free for an answer of unknown length


def fit(
    conversation: Conversation, model: Model, request: ResponseRequest
) -> tuple[Conversation, list[Note]]:
    """The conversation as it fits, and a note where turns were dropped; as it is unless `truncation` is auto.

    A turn begins with a user's message; the last one and the opening always stay.
    """
    if request.fields.get("truncation") != "auto":
        return conversation, []
    context = model.backend.context_length
    limit = context - min(int(request.number("max_output_tokens") or _ROOM), context // 2)
    rendering = Rendering(model.tok, schema="full")
    messages, dropped = conversation.messages, 0
    while len(rendering.update(Conversation(messages), completion=True).ids) > limit:
        if (shorter := _without_first_turn(messages)) is None:
            break
        messages, dropped = shorter, dropped + 1
    note = Note("truncated", f"the oldest {dropped} turns were dropped so that the rest fits the context")
    return Conversation(messages), [note] if dropped else []


def _without_first_turn(messages: Sequence[Message]) -> tuple[Message, ...] | None:
    """The messages without their first turn; None where there is but one."""
    first = next(
        (at for at, m in enumerate(messages) if m.role not in ("system", "developer")), len(messages)
    )
    later = (at for at, m in enumerate(messages) if at > first and m.role == "user")
    at = next(later, None)
    return None if at is None else (*messages[:first], *messages[at:])
