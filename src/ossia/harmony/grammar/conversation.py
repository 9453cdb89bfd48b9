"""From a conversation to the rules of its next answer."""

from collections.abc import Iterable

from ossia.errors import InputError
from ossia.harmony.grammar.bodies import bodies_of
from ossia.harmony.grammar.rules import AllowedTools, Callee, FrameRules, ResponseFormat, ToolChoice, is_named
from ossia.harmony.header import FORBIDDEN
from ossia.harmony.messages import CHANNELS, Conversation, DeveloperContent, SystemContent


def rules_for(
    conversation: Conversation,
    *,
    tool_choice: ToolChoice = "auto",
    response_format: ResponseFormat | None = None,
    max_calls: int | None = None,
) -> FrameRules:
    """The rules for the next answer in `conversation`, whose system and developer messages declare the tools
    and the system message the channels (all of them where it names none). What a developer message
    declares is called in commentary, as functions are.

    Raises InputError where `tool_choice` names an undeclared tool or requires one of none, where a tool's
    name could not stand in a header, and what `bodies_of` raises for schemas, regexes and grammars.
    """
    namespaces = [
        namespace
        for message in conversation.messages
        if isinstance(message.content, SystemContent | DeveloperContent)
        for namespace in message.content.tools
    ]
    functions = [
        namespace.name
        for message in conversation.messages
        if isinstance(message.content, DeveloperContent)
        for namespace in message.content.tools
    ]
    channels = [m.content.channels for m in conversation.messages if isinstance(m.content, SystemContent)]
    allowed = channels[-1] if channels and channels[-1] else CHANNELS
    own = tuple(dict.fromkeys(("functions", *functions)))
    rules = FrameRules(tuple(namespaces), tool_choice, response_format, max_calls, allowed, own)
    _check_names(rules.declared)
    _check_choice(rules)
    bodies_of(rules)
    return rules


def _check_names(callees: Iterable[Callee]) -> None:
    for callee in callees:
        if not callee.recipient or FORBIDDEN.search(callee.recipient):
            raise InputError(
                f"a tool cannot be called {callee.recipient!r}",
                value=callee.recipient,
                limit="one word without spaces, control characters, '<', '>', '|' or '='",
                remedy="Rename the tool.",
            )


def _check_choice(rules: FrameRules) -> None:
    names = [callee.recipient for callee in rules.declared]
    if rules.tool_choice == "required" and not names:
        raise InputError(
            "a tool call is required, but no tool is declared",
            value="required",
            remedy='Declare a tool, or choose "auto".',
        )
    if not isinstance(rules.tool_choice, AllowedTools):
        return
    wanted = rules.tool_choice.names
    unknown = [name for name in wanted if not any(is_named(callee, (name,)) for callee in rules.declared)]
    if unknown or not wanted:
        raise InputError(
            f"the tool {unknown[0]!r} is not declared" if unknown else "no tool is allowed by an empty list",
            value=unknown[0] if unknown else wanted,
            limit=names,
            remedy=f"Choose among: {', '.join(names)}." if names else "Declare the tool first.",
        )
