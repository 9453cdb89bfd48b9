"""What pocket is measured on: hand-written prompts, and invented ones of kinds that training holds out.

A case is a conversation up to the model's turn and what counts as right. Judging looks at the first step
only: what the model samples up to its first stop token.
"""

import json
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal, cast

from ossia.harmony.messages import (
    Conversation,
    DeveloperContent,
    Effort,
    Message,
    SystemContent,
    ToolNamespace,
    ToolSpec,
    tool_result,
    user,
)
from ossia.harmony.parse import parse
from ossia.posttrain.data.scenarios import CALCULATOR, IDENTITY, Talk, invent_example
from ossia.tokenizer import Tokenizer
from ossia.tools.arithmetic import ExpressionError, calculate

Want = Literal["call", "no call"]


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt: `tool` is the function to be called ("" for none), with `arguments`, or any `value` of
    its expression.
    """

    id: str
    kind: str
    effort: Effort
    conversation: Conversation
    tool_names: frozenset[str]
    tool: str = ""
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    value: float | None = None
    contains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one answer did. `right`: the right call with the right arguments, or no call where none is
    needed.
    """

    case: Case
    well_formed: bool
    called: bool
    right: bool
    analysis_tokens: int
    text: str


def handwritten() -> list[Case]:
    """The committed prompts of `handwritten.json`."""
    data = json.loads((files("ossia.posttrain.measure") / "handwritten.json").read_text(encoding="utf-8"))
    return [_case(entry, data["tools"]) for entry in data["prompts"]]


def _case(entry: dict[str, Any], tools: dict[str, Any]) -> Case:
    names: list[str] = entry["tools"]
    specs = tuple(_spec(name, tools[name]) for name in names)
    messages = [Message("system", SystemContent(IDENTITY, None, effort=entry["effort"]))]
    instructions: str | None = entry.get("instructions")
    if specs or instructions:
        spaces = (ToolNamespace("functions", "", specs),) if specs else ()
        messages.append(Message("developer", DeveloperContent(instructions, spaces)))
    messages += [_message(message) for message in entry["messages"]]
    expect: dict[str, Any] = entry["expect"]
    return Case(
        id=entry["id"],
        kind=entry["kind"],
        effort=entry["effort"],
        conversation=Conversation(tuple(messages)),
        tool_names=frozenset(names),
        tool=expect.get("call", ""),
        arguments=expect.get("arguments", {}),
        value=expect.get("value"),
        contains=tuple(expect.get("contains", ())),
    )


def _spec(name: str, tool: dict[str, Any]) -> ToolSpec:
    return CALCULATOR if name == "calculator" else ToolSpec(name, tool["description"], tool.get("parameters"))


def _message(entry: dict[str, Any]) -> Message:
    match entry["role"]:
        case "user":
            return user(entry["text"])
        case "final":
            return Message("assistant", entry["text"], channel="final")
        case "call":
            return Message(
                "assistant",
                json.dumps(entry["arguments"]),
                channel="commentary",
                recipient=f"functions.{entry['tool']}",
                content_type="<|constrain|>json",
            )
        case "result":
            return tool_result(f"functions.{entry['tool']}", entry["text"])
        case other:
            raise AssertionError(f"handwritten.json has a message of role {other}")


def held_out(count: int, talks: list[Talk]) -> list[Case]:
    """The first `count` invented examples with tools and arguments that training never shows."""
    cases: list[Case] = []
    index = 0
    while len(cases) < count:
        example = invent_example(index, talks, held_out=True)
        index += 1
        if example.kind == "refuse":
            continue
        messages = example.conversation.messages
        specs = messages[1].content.tools if isinstance(messages[1].content, DeveloperContent) else ()
        names = frozenset(tool.name for space in specs for tool in space.tools)
        call = next((message for message in messages[example.start :] if message.is_call), None)
        cases.append(
            Case(
                id=f"held-out-{index}",
                kind=f"held out, {example.kind}",
                effort=example.effort,
                conversation=Conversation(messages[: example.start]),
                tool_names=names,
                tool=(call.recipient or "").removeprefix("functions.") if call else "",
                arguments=json.loads(call.text) if call else {},
            )
        )
    return cases


def judge(case: Case, ids: list[int], tokenizer: Tokenizer) -> Verdict:
    """Judge the ids sampled after the prompt's `<|start|>assistant`."""
    messages, diagnostics = parse(ids, tokenizer, role="assistant")
    analysis = [message for message in messages if message.channel == "analysis"]
    rest = [message for message in messages if message.channel != "analysis"]
    ended = bool(ids) and ids[-1] in (tokenizer.markers.return_, tokenizer.markers.call)
    well_formed = not diagnostics and ended and len(rest) == 1 and _is_whole(rest[0], case, ids, tokenizer)
    calls = [message for message in rest if message.is_call]
    if case.tool:
        right = len(calls) == 1 and _right_call(case, calls[0])
    else:
        final = rest[0].text.lower() if rest and not calls else ""
        right = (
            not calls and bool(final) and (not case.contains or any(word in final for word in case.contains))
        )
    tokens = sum(len(tokenizer.encode(message.text)) for message in analysis)
    return Verdict(case, well_formed, bool(calls), right, tokens, tokenizer.decode(ids))


def _is_whole(message: Message, case: Case, ids: list[int], tokenizer: Tokenizer) -> bool:
    """A call to a declared function with a JSON object, ended by <|call|>; or a final with words, by
    <|return|>.
    """
    if not message.is_call:
        return (
            message.channel == "final" and bool(message.text.strip()) and ids[-1] == tokenizer.markers.return_
        )
    name = (message.recipient or "").removeprefix("functions.")
    return name in case.tool_names and _object(message.text) is not None and ids[-1] == tokenizer.markers.call


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _right_call(case: Case, call: Message) -> bool:
    given = _object(call.text)
    if call.recipient != f"functions.{case.tool}" or given is None:
        return False
    if case.value is not None or case.tool == "calculator":
        wanted = case.value if case.value is not None else _number(str(case.arguments["expression"]))
        got = _number(str(given.get("expression", "")))
        return (
            set(given) == {"expression"}
            and got is not None
            and wanted is not None
            and abs(got - wanted) < 1e-6
        )
    if set(given) - set(case.arguments):
        return False
    return all(_accepts(wanted, given.get(name)) for name, wanted in case.arguments.items())


def _number(expression: str) -> float | None:
    try:
        return float(calculate(expression))
    except (ExpressionError, ValueError):
        return None


def _accepts(wanted: Any, got: Any) -> bool:
    """Whether an argument is right: equal, text without regard to case, or one of the allowed values."""
    if isinstance(wanted, dict):
        allowed = cast("dict[str, list[Any]]", wanted)
        if "optional" in allowed:
            return got is None or got in allowed["optional"]
        return any(_accepts(value, got) for value in allowed["any"])
    if isinstance(wanted, str):
        return isinstance(got, str) and got.strip().lower() == wanted.lower()
    if isinstance(wanted, list):
        entries, given = cast("list[Any]", wanted), cast("list[Any]", got)
        return isinstance(got, list) and len(given) == len(entries) and all(map(_accepts, entries, given))
    return (
        type(got) in (type(wanted), int, float)
        and isinstance(got, bool) == isinstance(wanted, bool)
        and got == wanted
    )
