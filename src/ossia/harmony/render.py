"""Messages to token ids, token for token as openai-harmony 0.0.8 renders them.

A message that remembers the ids it was read from is rendered with them, so that a prompt continues what
was sampled id for id; `canonical` writes it anew.
Bodies and names are always encoded as ordinary text; control tokens are placed by id. It differs from the
reference on purpose in what is dropped (`drop_finished_analysis`): analysis of a completed turn stays
dropped, so that a conversation's prefix stays the prefix of its continuation.
"""

from collections.abc import Sequence

from ossia.errors import InputError
from ossia.harmony.header import CONSTRAIN, check_header
from ossia.harmony.messages import Conversation, DeveloperContent, Message, SystemContent
from ossia.harmony.schema import SchemaMode, render_tools
from ossia.tokenizer.base import Tokenizer

FUNCTIONS_NOTE = "Calls to these tools must go to the commentary channel: 'functions'."


def render_message(
    message: Message,
    tok: Tokenizer,
    *,
    valid_functions: bool = False,
    schema: SchemaMode = "compat",
    canonical: bool = False,
    as_read: bool = False,
) -> list[int]:
    """Return the ids of one message, from ``<|start|>`` to ``<|end|>`` or ``<|call|>``.

    `valid_functions` adds to a system message where calls to functions must go; `schema` says how tools
    are described. `canonical` ignores the ids the message was read from; `as_read` ends it as it ended
    then, be it in ``<|return|>`` or not at all, instead of as it stands in history. Raises InputError for
    a header that could be misread, ToolDefinitionError for tools that cannot be described.
    """
    marks = tok.markers
    sampled = None if canonical else message.sampled_in(tok.name)
    end = (marks.call if message.is_call else marks.end,)
    if sampled is not None:
        return [*sampled.header_ids, *sampled.body_ids, *(sampled.end_ids if as_read else end)]
    body = tok.encode(_body(message, valid_functions, schema))
    return [marks.start, *_header(message, tok), marks.message, *body, *end]


def render_conversation(
    conversation: Conversation,
    tok: Tokenizer,
    *,
    completion: bool = False,
    drop_analysis: bool = True,
    schema: SchemaMode = "compat",
    canonical: bool = False,
) -> list[int]:
    """Return the ids of a conversation; `completion` opens the assistant's next message.

    Without `drop_analysis` the analysis of completed turns stays. `schema`, `canonical` and what is raised
    as for `render_message`.
    """
    messages = conversation.messages
    functions = declares_functions(messages)
    if drop_analysis:
        messages = drop_finished_analysis(messages)
    ids: list[int] = []
    for message in messages:
        ids += render_message(message, tok, valid_functions=functions, schema=schema, canonical=canonical)
    if completion:
        ids += assistant_opening(tok)
    return ids


def assistant_opening(tok: Tokenizer) -> list[int]:
    """Return the ids a prompt ends in: ``<|start|>assistant``, which the model goes on from."""
    return [tok.markers.start, *tok.encode("assistant")]


def answer_after_thought(tok: Tokenizer) -> list[int]:
    """Return the ids by which the model is made to answer: they end its thought and begin the final."""
    marks = tok.markers
    return [marks.end, *assistant_opening(tok), marks.channel, *tok.encode("final"), marks.message]


def drop_finished_analysis(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Drop what is in the analysis channel of every completed turn: all of it before the last final.

    Analysis after the last final belongs to the turn in progress and stays, across its tool calls too.
    """
    finals = [i for i, m in enumerate(messages) if m.is_final]
    last_final = finals[-1] if finals else -1
    return tuple(m for i, m in enumerate(messages) if i > last_final or m.channel != "analysis")


def _header(message: Message, tok: Tokenizer) -> list[int]:
    check_header(message)
    marks = tok.markers
    recipient = None if message.recipient in (None, "all") else f" to={message.recipient}"
    after_channel = message.recipient_in == "channel" and message.channel is not None
    ids = _author(message, tok)
    if recipient and not after_channel:
        ids += tok.encode(recipient)
    if message.channel is not None:
        ids += [marks.channel, *tok.encode(message.channel)]
    if recipient and after_channel:
        ids += tok.encode(recipient)
    if message.content_type is None:
        return ids
    if message.content_type.startswith(CONSTRAIN):
        rest = message.content_type.removeprefix(CONSTRAIN)
        return [*ids, *tok.encode(" "), marks.constrain, *tok.encode(rest)]
    return [*ids, *tok.encode(f" {message.content_type}")]


def _author(message: Message, tok: Tokenizer) -> list[int]:
    if message.role == "tool":
        return tok.encode(message.name or "tool")
    ids = tok.encode(message.role)
    return ids if message.name is None else [*ids, *tok.encode(f":{message.name}")]


def _body(message: Message, valid_functions: bool, schema: SchemaMode) -> str:
    match message.content:
        case str(text):
            return text
        case SystemContent() as content if message.role == "system":
            return _system(content, valid_functions, schema)
        case DeveloperContent() as content if message.role == "developer":
            return _developer(content, schema)
        case content:
            raise InputError(
                f"{type(content).__name__} cannot be the content of a {message.role} message",
                value=message.role,
                limit="SystemContent in system messages, DeveloperContent in developer messages",
                remedy="Change the message's role, or give its content as text.",
            )


def _system(content: SystemContent, valid_functions: bool, schema: SchemaMode) -> str:
    top: list[str] = []
    if content.identity is not None:
        top.append(content.identity)
    if content.knowledge_cutoff is not None:
        top.append(f"Knowledge cutoff: {content.knowledge_cutoff}")
    if content.current_date is not None:
        top.append(f"Current date: {content.current_date.isoformat()}")
    sections = ["\n".join(top)] if top else []
    if content.effort is not None:
        sections.append(f"Reasoning: {content.effort}")
    if content.tools:
        sections.append(render_tools(content.tools, schema))
    if content.channels:
        line = f"# Valid channels: {', '.join(content.channels)}. Channel must be included for every message."
        sections.append(f"{line}\n{FUNCTIONS_NOTE}" if valid_functions else line)
    return "\n\n".join(sections)


def _developer(content: DeveloperContent, schema: SchemaMode) -> str:
    sections = [] if content.instructions is None else ["# Instructions", content.instructions]
    if content.tools:
        sections.append(render_tools(content.tools, schema))
    return "\n\n".join(sections)


def declares_functions(messages: Sequence[Message]) -> bool:
    """Whether a developer message declares functions, so that the system message must name them."""
    return any(
        ns.name == "functions" and ns.tools
        for message in messages
        if isinstance(message.content, DeveloperContent)
        for ns in message.content.tools
    )
