"""Conversations in the shape of Chat Completions, and of the data sets that follow it.

A message's reasoning may be called reasoning_content, reasoning or thinking; arguments may be JSON text or an
object; the older function_call and the role "function" are read too.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ossia.harmony.formats.declared import read_tools
from ossia.harmony.formats.draft import Draft
from ossia.harmony.formats.fields import as_list, as_object, content_of, needed, text_of, wrong
from ossia.harmony.messages import CHANNELS, Conversation, Effort, SystemContent

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_REASONING = ("reasoning_content", "reasoning", "thinking")

ContentReader = Callable[[object, str], str | None]
"""Reads content as text, None where there is none; given its place too, for errors."""


def conversation_from_chat(
    messages: Sequence[Mapping[str, Any]],
    tools: object = None,
    *,
    effort: Effort | None = None,
    system: SystemContent | None = None,
) -> Conversation:
    """The Harmony conversation that `messages` and `tools` of a Chat Completions request stand for.

    System and developer text becomes Harmony's developer message, with the tools as functions; the Harmony
    system message is `system` (by default SystemContent()) with `effort`, if given. Reasoning becomes
    analysis, content before tool calls a preamble in commentary, each call a message of its own, other
    content the final, unless the message names its `channel`. A null or missing content is no message; one
    that says nothing at all is refused.

    Raises InputError that names the place: a wrong type, an unknown role or kind of part, a result without
    its call, a name that could not stand in a header.
    """
    draft = Draft(read_tools(tools), effort=effort, system=system)
    take_messages(draft, messages)
    return draft.conversation()


def take_messages(draft: Draft, messages: object, content_of: ContentReader = content_of) -> None:
    """Add the messages of a Chat Completions request to a draft; raises as `conversation_from_chat`."""
    for at, value in enumerate(as_list(messages, "messages")):
        where = f"messages[{at}]"
        _take(draft, as_object(value, where), where, content_of)


def _take(draft: Draft, message: Mapping[str, Any], where: str, content_of: ContentReader) -> None:
    role = message.get("role")
    if role == "assistant":
        _take_assistant(draft, message, where, content_of)
        return
    if role not in ROLES:
        raise wrong(where, f"unknown role {role!r}", role, ROLES)
    content = content_of(message.get("content"), where)
    if content is None and role == "function":
        content = ""
    if content is None:
        raise wrong(where, f"a {role} message without content", None, "text, or a list of parts")
    name = text_of(message, "name", where)
    if role == "user":
        draft.ask(content, name, where)
    elif role in ("tool", "function"):
        draft.result(content, text_of(message, "tool_call_id", where), name, where)
    else:
        draft.instruct(content)


def _take_assistant(draft: Draft, message: Mapping[str, Any], where: str, content_of: ContentReader) -> None:
    thought = next((text for key in _REASONING if (text := text_of(message, key, where))), None)
    content = content_of(message.get("content"), where)
    if content is None:
        content = text_of(message, "refusal", where)
    calls = _calls(message, where)
    if thought is None and content is None and not calls:
        limit = ("content", *_REASONING, "tool_calls")
        raise wrong(where, "an assistant message that says nothing", None, limit, "Leave it out.")
    channel = _channel(message, where)
    if thought:
        draft.think(thought)
    if content and channel == "analysis":
        draft.think(content)
    elif content and (calls or channel == "commentary"):
        draft.announce(content)
    elif content is not None and not calls and channel in (None, "final") and (content or not thought):
        draft.answer(content)
    for at, call in enumerate(calls):
        _take_call(draft, as_object(call, f"{where}.tool_calls[{at}]"), f"{where}.tool_calls[{at}]")


def _channel(message: Mapping[str, Any], where: str) -> str | None:
    """The channel of the content, for messages that name one: analysis must not become an answer."""
    if message.get("recipient") not in (None, "all"):
        remedy = "Write calls as tool_calls, or give the conversation as Harmony text."
        raise wrong(where, "a recipient", message["recipient"], "messages without a recipient", remedy)
    channel = text_of(message, "channel", where)
    if channel is not None and channel not in CHANNELS:
        raise wrong(where, f"unknown channel {channel!r}", channel, CHANNELS)
    return channel


def _calls(message: Mapping[str, Any], where: str) -> Sequence[Any]:
    older = message.get("function_call")
    return [older] if older is not None else as_list(message.get("tool_calls"), f"{where}.tool_calls")


def _take_call(draft: Draft, call: Mapping[str, Any], where: str) -> None:
    call_id, kind = text_of(call, "id", where), call.get("type")
    if kind not in (None, "function", "custom"):
        raise wrong(where, f"a call of type {kind!r}", kind, ("function", "custom"))
    if kind == "custom":
        custom = as_object(call.get("custom"), f"{where}.custom")
        name, text = needed(custom, "name", where), needed(custom, "input", where)
        draft.call(name, text, call_id, where, json=False)
        return
    function = call if call.get("function") is None else as_object(call["function"], f"{where}.function")
    draft.call(needed(function, "name", where), _arguments(function, where), call_id, where)


def _arguments(function: Mapping[str, Any], where: str) -> str:
    """The arguments as the model would write them: text as it is, whatever it is worth; objects compactly."""
    value = function.get("arguments")
    if isinstance(value, str):
        return value
    told: Mapping[str, Any] = {} if value is None else as_object(value, f"{where}.arguments")
    try:
        return json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise wrong(where, f"arguments that are no JSON: {error}", value, "an object, or JSON text") from None
