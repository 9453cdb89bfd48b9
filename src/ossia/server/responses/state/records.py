"""What a response leaves behind, as it is stored: what was said in it, and the exact ids.

A turn's messages are the application's leading texts (`lead`), what its client sent, and the answer; calls
name the id their result will come under.
"""

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ossia.agent.events import Step
from ossia.agent.saved import message_from_dict, message_to_dict
from ossia.harmony.messages import DeveloperContent, Message
from ossia.server.responses.reading import History
from ossia.server.store.records import StoredResponse
from ossia.tokenizer import load_o200k_harmony
from ossia.tokenizer.base import Tokenizer

Saved = dict[str, Any]


def saved_turn(
    before: History, after: History, answer: Sequence[Message], calls: Mapping[str, str]
) -> list[Saved]:
    """What `after`, and behind it an answer with its calls, adds to the history `before`."""
    lead = [{"role": "developer", "content": text, "lead": True} for text in after.lead[len(before.lead) :]]
    new = {id: to for id, to in after.calls.items() if before.calls.get(id) != to}
    messages = (*after.messages[len(before.messages) :], *answer)
    return [*lead, *_saved(messages, [*new.items(), *calls.items()])]


def saved_items(
    output: Sequence[Mapping[str, Any]], answer: Sequence[Message], calls: Mapping[str, str]
) -> list[list[Saved]]:
    """For each item of an output, the messages it stands for: those up to and with the one it shows."""
    found: list[list[Saved]] = []
    left = list(answer)
    for item in output:
        to = calls.get(item.get("call_id", ""))
        count = next((at for at, message in enumerate(left, 1) if _shows(item, message, to)), 0)
        found.append(_saved(left[:count], [] if to is None else [(item["call_id"], to)]))
        left = left[count:]
    return found


def loaded_history(saved: Iterable[Saved]) -> History:
    """The history that saved messages are."""
    lead: list[str] = []
    messages: list[Message] = []
    calls: dict[str, str] = {}
    for value in saved:
        if value.get("lead"):
            lead.append(value["content"])
            continue
        message = _loaded(value)
        messages.append(message)
        if isinstance(call_id := value.get("call_id"), str) and message.recipient is not None:
            calls[call_id] = message.recipient
    return History(tuple(lead), tuple(messages), calls)


def with_sealed(
    record: StoredResponse, body: dict[str, Any], seal: Callable[[Sequence[Message]], str]
) -> dict[str, Any]:
    """The response `body` of `record` with `encrypted_content` in every reasoning item."""
    said = loaded_history(record.messages).messages
    thoughts = [m for m in said if m.channel == "analysis" and m.role == "assistant" and not m.is_call]
    places = [at for at, item in enumerate(body["output"]) if item["type"] == "reasoning"]
    output = list(body["output"])
    if len(thoughts) >= len(places):  # the record may be older than what is shown
        for at, thought in zip(places, thoughts[len(thoughts) - len(places) :], strict=True):
            output[at] = {"encrypted_content": seal([thought]), **output[at]}
    return {**body, "output": output}


def packed_steps(steps: Sequence[Step], tok: Tokenizer) -> str:
    """The exact ids of an answer's prompts and outputs, and their text, packed."""
    value = {
        "vocabulary": tok.name,
        "steps": [
            {"prompt": _ids(step.prompt_ids, tok), "output": _ids(step.output_ids, tok)} for step in steps
        ],
    }
    return base64.b64encode(zlib.compress(json.dumps(value, separators=(",", ":")).encode())).decode()


def unpacked_steps(packed: str) -> dict[str, Any]:
    """What `packed_steps` packed."""
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def _saved(messages: Iterable[Message], calls: list[tuple[str, str]]) -> list[Saved]:
    """Messages as JSON, each call with the first id left that was for its recipient."""
    saved: list[Saved] = []
    for message in messages:
        if isinstance(content := message.content, DeveloperContent):
            saved.append({"role": "developer", "content": content.instructions or ""})
            continue
        value = message_to_dict(message, ids=True)
        at = next((i for i, (_, to) in enumerate(calls) if message.is_call and to == message.recipient), None)
        if at is not None:
            value["call_id"] = calls.pop(at)[0]
        saved.append(value)
    return saved


def _loaded(value: Saved) -> Message:
    if value.get("role") == "developer":
        return Message("developer", DeveloperContent(value["content"]))
    return message_from_dict(value, load_o200k_harmony())


def _shows(item: Mapping[str, Any], message: Message, to: str | None) -> bool:
    """Whether an item shows a message; `to` is whom it calls."""
    if message.is_call or to is not None:
        return message.is_call and message.recipient == to
    return (item["type"] == "reasoning") == (message.channel == "analysis")


def _ids(ids: Sequence[int], tok: Tokenizer) -> dict[str, Any]:
    return {"ids": list(ids), "text": tok.decode(ids)}
