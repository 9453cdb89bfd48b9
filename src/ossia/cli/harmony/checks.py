"""What can be wrong with a conversation that the parser has no complaint about.

`errors` are things that fail wherever the conversation goes; `doubts` are well-formed and probably not meant.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import jsonschema
from jsonschema.protocols import Validator
from referencing import Registry

from ossia.cli.harmony.declared import Declared, declared_tools
from ossia.cli.harmony.reading import Reading
from ossia.cli.harmony.source import Rules, Source
from ossia.harmony.header import CONSTRAIN, ROLES
from ossia.harmony.messages import Message, ToolSpec
from ossia.tokenizer import Tokenizer

_SHORT = 160  # characters of what a validator says


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with tokens `start` to `end` (exclusive)."""

    code: str
    start: int
    end: int
    detail: str


def errors(source: Source, reading: Reading) -> Iterator[Finding]:
    """The parser's diagnostics, undeclared recipients, arguments that are no JSON or break their schema."""
    for note in reading.diagnostics:
        yield Finding(note.code, note.start, note.end, note.detail)
    structured = source.conversation.messages if source.conversation is not None else reading.messages
    declared = declared_tools(structured)
    for name, tool in declared.tools.items():
        if tool is not None and (problem := _schema_problem(tool.parameters)):
            yield Finding("bad-schema", 0, 0, f"{name}: {problem}")
    for number, message in enumerate(reading.messages):
        if message.is_call and message.recipient not in ROLES:
            yield from _call_errors(message, declared, *reading.places[number])


def doubts(source: Source, reading: Reading, tok: Tokenizer) -> Iterator[Finding]:
    """Stale analysis, calls and results that do not meet, no final, ``<|return|>`` within, odd ids."""
    yield from _unpaired(reading)
    answered = [
        i for i, m in enumerate(reading.messages[:-1]) if m.channel == "final"
    ]  # something follows them
    for number, message in enumerate(reading.messages):
        if message.channel == "analysis" and answered and number < answered[-1]:
            yield Finding("stale-analysis", *reading.places[number], "")
    if reading.messages and _unfinished(reading.messages[-1]):
        yield Finding("no-final", *reading.places[-1], "")
    for token in reading.tokens[:-1]:
        if token.id == tok.markers.return_:
            yield Finding("return-in-history", token.index, token.index + 1, "")
    if source.ids is not None and not reading.diagnostics:
        yield from _uncanonical(source, reading, tok)


def _call_errors(message: Message, declared: Declared, start: int, end: int) -> Iterator[Finding]:
    name = message.recipient or ""
    if not declared.allows(name):
        yield Finding("undeclared-recipient", start, end, name)
    tool = declared.tools.get(name)
    if not _takes_json(message, tool):
        return
    try:
        arguments: Any = json.loads(message.text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        yield Finding("arguments-not-json", start, end, f"{name}: {error or type(error).__name__}")
        return
    if not isinstance(arguments, dict):
        yield Finding("arguments-not-json", start, end, f"{name}: {type(arguments).__name__}")
    elif tool is not None and (problem := _mismatch(cast(dict[str, Any], arguments), tool.parameters)):
        yield Finding("arguments-schema", start, end, f"{name}: {problem}")


def _takes_json(message: Message, tool: ToolSpec | None) -> bool:
    if tool is not None:
        return tool.text_input is None
    kind = (message.content_type or "").removeprefix(CONSTRAIN)
    return kind == "json" or (not kind and (message.recipient or "").startswith("functions."))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _mismatch(arguments: dict[str, Any], parameters: dict[str, Any] | None) -> str:
    """What is wrong with `arguments`; "" where nothing is, or where the schema cannot say."""
    if not parameters or _schema_problem(parameters):
        return ""
    try:
        found = list(_validator(parameters).iter_errors(arguments))
    except (
        Exception
    ) as error:  # references that lead nowhere, patterns Python cannot read: the schema's fault
        return f"{type(error).__name__}: {error}"[:_SHORT]
    return f"{found[0].json_path}: {found[0].message}"[:_SHORT] if found else ""


def _schema_problem(parameters: dict[str, Any] | None) -> str:
    try:
        if parameters:
            jsonschema.Draft202012Validator.check_schema(parameters)
    except jsonschema.SchemaError as error:
        return f"{error.json_path}: {error.message}"[:_SHORT]
    return ""


def _validator(parameters: dict[str, Any]) -> Validator:
    # An empty registry: a schema's reference to another document is never fetched.
    return jsonschema.Draft202012Validator(parameters, registry=Registry())


def _unpaired(reading: Reading) -> Iterator[Finding]:
    waiting: dict[int, str] = {}  # calls by their message's number
    for number, message in enumerate(reading.messages):
        if message.is_call and message.recipient not in ROLES:
            waiting[number] = message.recipient or ""
        elif message.role == "tool":
            answered = [call for call, name in waiting.items() if name == message.name]
            if answered:
                del waiting[answered[0]]
            else:
                yield Finding("result-without-call", *reading.places[number], message.name or "")
        elif message.role == "user" or message.channel == "final":
            for call, name in waiting.items():
                yield Finding("unanswered-call", *reading.places[call], name)
            waiting.clear()


def _unfinished(message: Message) -> bool:
    return message.role == "tool" or (
        message.role == "assistant" and not message.is_call and message.channel != "final"
    )


def _uncanonical(source: Source, reading: Reading, tok: Tokenizer) -> Iterator[Finding]:
    """The first id that rendering the messages anew would choose otherwise; how each ends does not count."""
    ends = (tok.markers.end, tok.markers.return_)
    canonical = source.rendered(tok, Rules(canonical=True, drop_analysis=False))
    for token, other in zip(reading.tokens, canonical, strict=False):
        if token.id != other and not (token.id in ends and other in ends):
            yield Finding("not-canonical", token.index, token.index + 1, f"{token.id}, canonical {other}")
            return
