"""What can be wrong with a conversation that the parser has no complaint about.

`errors` are things that fail wherever the conversation goes; `doubts` are well-formed and probably not meant.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import jsonschema

from ossia.cli.harmony.declared import declared_tools
from ossia.cli.harmony.reading import Reading
from ossia.cli.harmony.source import Rules, Source
from ossia.errors import InputError
from ossia.harmony.grammar.bodies import parameters_of
from ossia.harmony.grammar.check import json_problem, text_problem
from ossia.harmony.grammar.enforce import text_body
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
    """The parser's diagnostics, undeclared recipients, and bodies of calls that are not what was declared."""
    for note in reading.diagnostics:
        yield Finding(note.code, note.start, note.end, note.detail)
    structured = source.conversation.messages if source.conversation is not None else reading.messages
    declared = declared_tools(structured)
    unusable = {
        name: problem
        for name, tool in declared.tools.items()
        if tool is not None and (problem := _unusable(tool))
    }
    for name, problem in unusable.items():
        yield Finding("bad-schema", 0, 0, f"{name}: {problem}")
    for number, message in enumerate(reading.messages):
        name = message.recipient or ""
        if not message.is_call or name in ROLES:
            continue
        start, end = reading.places[number]
        if not declared.allows(name):
            yield Finding("undeclared-recipient", start, end, name)
        if name not in unusable and (wrong := _body_error(message, declared.tools.get(name))):
            yield Finding(wrong[0], start, end, f"{name}: {wrong[1]}")


def doubts(source: Source, reading: Reading, tok: Tokenizer) -> Iterator[Finding]:
    """Stale analysis, calls and results that do not meet, no final, ``<|return|>`` within, odd ids."""
    yield from _unpaired(reading)
    followed = reading.messages[:-1]
    answered = [i for i, message in enumerate(followed) if message.is_final]
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


def _body_error(message: Message, tool: ToolSpec | None) -> tuple[str, str] | None:
    """What is wrong with the body of a call: a code, and what the agent would say of it."""
    if tool is not None and tool.text_input is not None:
        problem = text_problem(message.text, text_body(tool.text_input, tool.name).grammar)
        return ("input-grammar", problem) if problem else None
    if tool is None and not _is_json(message):
        return None
    if problem := json_problem(message.text, None, is_object=True):
        return "arguments-not-json", problem
    problem = tool and json_problem(message.text, parameters_of(tool), is_object=True)
    return ("arguments-schema", problem) if problem else None


def _is_json(message: Message) -> bool:
    """Whether a call to a tool nobody describes should hold JSON."""
    kind = (message.content_type or "").removeprefix(CONSTRAIN)
    return kind == "json" or (not kind and (message.recipient or "").startswith("functions."))


def _unusable(tool: ToolSpec) -> str:
    """Why no call of a tool can be checked: its parameters or its grammar are none; "" if it can."""
    if tool.text_input is None:
        return _schema_problem(json.dumps(tool.parameters or {}))
    try:
        text_body(tool.text_input, tool.name)
    except InputError as error:
        return error.message
    return ""


@lru_cache(maxsize=256)  # the rows of a data set mostly have the same tools
def _schema_problem(schema: str) -> str:
    try:
        jsonschema.Draft202012Validator.check_schema(json.loads(schema))
    except jsonschema.SchemaError as error:
        return f"{error.json_path}: {error.message}"[:_SHORT]
    return ""


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
        elif message.role == "user" or message.is_final:
            for call, name in waiting.items():
                yield Finding("unanswered-call", *reading.places[call], name)
            waiting.clear()


def _unfinished(message: Message) -> bool:
    return message.role == "tool" or (
        message.role == "assistant" and not message.is_call and not message.is_final
    )


def _uncanonical(source: Source, reading: Reading, tok: Tokenizer) -> Iterator[Finding]:
    """The first id that rendering the messages anew would choose otherwise; how each ends does not count."""
    ends = (tok.markers.end, tok.markers.return_)
    canonical = source.rendered(tok, Rules(canonical=True, drop_analysis=False))
    for token, other in zip(reading.tokens, canonical, strict=False):
        if token.id != other and not (token.id in ends and other in ends):
            yield Finding("not-canonical", token.index, token.index + 1, f"{token.id}, canonical {other}")
            return
