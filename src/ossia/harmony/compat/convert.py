"""Between openai-harmony's messages and Ossia's, both ways.

A message that was read (by the parser, or from Ossia's) and not changed since comes back as the very
message it was read from, its token ids and header order included.
"""

from datetime import date
from typing import cast

from ossia.harmony import messages as ossia
from ossia.harmony.compat.content import (
    Author,
    ChannelConfig,
    Content,
    DeveloperContent,
    ReasoningEffort,
    Role,
    SystemContent,
    TextContent,
    ToolDescription,
    ToolNamespaceConfig,
)
from ossia.harmony.compat.errors import HarmonyError
from ossia.harmony.compat.messages import Conversation, Message
from ossia.harmony.render import FUNCTIONS_NOTE
from ossia.harmony.schema import render_tools


def conversation_to_ossia(conversation: Conversation) -> ossia.Conversation:
    """Return the conversation in Ossia's types; raises HarmonyError as `message_to_ossia`."""
    functions = declares_functions(conversation)
    return ossia.Conversation(tuple(message_to_ossia(m, functions=functions) for m in conversation.messages))


def conversation_from_ossia(conversation: ossia.Conversation) -> Conversation:
    return Conversation(messages=[message_from_ossia(m) for m in conversation.messages])


def message_to_ossia(message: Message, *, functions: bool = False) -> ossia.Message:
    """Return the message in Ossia's types; several texts become one.

    `functions`: the conversation declares functions, which matters only where system content has to
    become text (see `parts_to_ossia`). Raises HarmonyError for a mixture of texts and structured contents.
    """
    read = message._read  # pyright: ignore[reportPrivateUsage]
    if read is not None and message_from_ossia(read) == message:
        return read
    parts = parts_to_ossia(message, functions)
    if len(parts) == 1:
        return parts[0]
    if not all(isinstance(part.content, str) for part in parts):
        raise HarmonyError(
            "a message of several contents, not all of them text, has no counterpart in Ossia",
            value=[type(part).__name__ for part in message.content],
            limit="one structured content, or any number of texts",
            remedy="Split the message.",
        )
    text = "".join(part.text for part in parts)
    return _message(message, text)


def parts_to_ossia(message: Message, functions: bool) -> list[ossia.Message]:
    """Return one Ossia message for each content, at least one; they share the header.

    System content that Ossia's type cannot say (a date that is no ISO date, channels that are not
    required) is given as the text it renders to. Raises HarmonyError for structured content under the
    wrong role.
    """
    for part in message.content:
        _check_place(part, Role(message.author.role))
    contents = [_content(part, functions) for part in message.content] or [""]
    return [_message(message, content) for content in contents]


def message_from_ossia(message: ossia.Message) -> Message:
    """Return the message in openai-harmony's types, remembering the one it came from."""
    match message.content:
        case str(text):
            content: Content = TextContent(text=text)
        case ossia.SystemContent() as system:
            content = _system_from(system)
        case ossia.DeveloperContent() as developer:
            content = DeveloperContent(
                instructions=developer.instructions, tools=_namespaces_from(developer.tools)
            )
    made = Message(
        author=Author(role=Role(message.role), name=message.name),
        content=[content],
        channel=message.channel,
        recipient=message.recipient,
        content_type=message.content_type,
    )
    made._read = message  # pyright: ignore[reportPrivateUsage]
    return made


def declares_functions(conversation: Conversation) -> bool:
    """Does a developer message declare functions? Then the system message says where calls go."""
    return any(
        namespace.name == "functions" and namespace.tools
        for message in conversation.messages
        for part in message.content
        if isinstance(part, DeveloperContent)
        for namespace in (part.tools or {}).values()
    )


def _message(message: Message, content: ossia.Content) -> ossia.Message:
    return ossia.Message(
        Role(message.author.role).value,
        content,
        name=message.author.name,
        channel=message.channel,
        recipient=message.recipient,
        content_type=message.content_type,
    )


def _check_place(content: Content, role: Role) -> None:
    """Structured content belongs to one role, and text made of it must not stand under another."""
    for kind, place in ((SystemContent, Role.SYSTEM), (DeveloperContent, Role.DEVELOPER)):
        if isinstance(content, kind) and role is not place:
            raise HarmonyError(
                f"{kind.__name__} may only appear in {place.value} messages, found in {role.name.title()}",
                value=role.value,
                limit=place.value,
                remedy="Change the message's role, or give its content as text.",
            )


def _content(content: Content, functions: bool) -> ossia.Content:
    match content:
        case TextContent():
            return content.text
        case SystemContent():
            return _system(content, functions)
        case DeveloperContent():
            return ossia.DeveloperContent(content.instructions, _namespaces(content.tools))
        case _:
            raise HarmonyError(
                f"{type(content).__name__} cannot be rendered",
                value=type(content).__name__,
                limit="TextContent, SystemContent, DeveloperContent",
                remedy="Use one of these.",
            )


def _system(content: SystemContent, functions: bool) -> ossia.SystemContent | str:
    told = content.conversation_start_date
    day = _iso_date(told)
    channels = content.channel_config
    if (told is not None and day is None) or (channels and not channels.channel_required):
        return _system_text(content, functions)
    return ossia.SystemContent(
        identity=content.model_identity,
        knowledge_cutoff=content.knowledge_cutoff,
        current_date=day,
        effort=_effort(content),
        channels=tuple(channels.valid_channels) if channels else (),
        tools=_namespaces(content.tools),
    )


def _iso_date(text: str | None) -> date | None:
    """The date that is written exactly so, else None."""
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return None
    return day if day.isoformat() == text else None


def _effort(content: SystemContent) -> ossia.Effort | None:
    effort = content.reasoning_effort
    return None if effort is None else cast(ossia.Effort, ReasoningEffort(effort).value.lower())


def _system_text(content: SystemContent, functions: bool) -> str:
    about = [
        ("", content.model_identity),
        ("Knowledge cutoff: ", content.knowledge_cutoff),
        ("Current date: ", content.conversation_start_date),
    ]
    told = [f"{label}{value}" for label, value in about if value is not None]
    effort, channels = _effort(content), content.channel_config
    sections = ["\n".join(told)] if told else []
    if effort is not None:
        sections.append(f"Reasoning: {effort}")
    if content.tools:
        sections.append(render_tools(_namespaces(content.tools)))
    if channels and channels.valid_channels:
        line = f"# Valid channels: {', '.join(channels.valid_channels)}."
        line += " Channel must be included for every message." if channels.channel_required else ""
        sections.append(f"{line}\n{FUNCTIONS_NOTE}" if functions else line)
    return "\n\n".join(sections)


def _namespaces(tools: dict[str, ToolNamespaceConfig] | None) -> tuple[ossia.ToolNamespace, ...]:
    return tuple(
        ossia.ToolNamespace(
            namespace.name,
            namespace.description or "",
            tuple(ossia.ToolSpec(tool.name, tool.description, tool.parameters) for tool in namespace.tools),
        )
        for namespace in (tools or {}).values()
    )


def _system_from(system: ossia.SystemContent) -> SystemContent:
    return SystemContent(
        model_identity=system.identity,
        knowledge_cutoff=system.knowledge_cutoff,
        conversation_start_date=system.current_date and system.current_date.isoformat(),
        reasoning_effort=system.effort and ReasoningEffort(system.effort.title()),
        channel_config=ChannelConfig.require_channels(list(system.channels)),
        tools=_namespaces_from(system.tools),
    )


def _namespaces_from(namespaces: tuple[ossia.ToolNamespace, ...]) -> dict[str, ToolNamespaceConfig] | None:
    return {
        namespace.name: ToolNamespaceConfig(
            name=namespace.name,
            description=namespace.description or None,
            tools=[
                ToolDescription(name=tool.name, description=tool.description, parameters=tool.parameters)
                for tool in namespace.tools
            ],
        )
        for namespace in namespaces
    } or None
