"""The frame of one assistant message as a grammar, from after ``<|start|>assistant`` to its terminator.

A turn is message after message, each under a grammar of its own; `mask.FrameMask` strings them together.
Text in llguidance's Lark dialect; control tokens stand in it by id, so no text can pose as one. What the
schemas in it can enforce is `enforce`'s business.
"""

import json
from collections.abc import Callable
from typing import Any, Literal

from ossia.harmony.grammar.enforce import Body
from ossia.harmony.grammar.rules import Callee, FrameRules, is_named
from ossia.tokenizer.base import Markers

Phase = Literal["free", "late", "answer"]
"""Which messages may come: `free` any; `late` no more analysis; `answer` the one the turn is to end with,
under the header it usually has, so that all of the header is determined but a choice among tools."""

_NAME = r"[a-zA-Z0-9_\-]+(\.[a-zA-Z0-9_\-]+)*"  # what follows the dot after a namespace described in prose


class _Lark:
    """Rules being collected, and the grammars they refer to."""

    def __init__(self, markers: Markers) -> None:
        self._markers = markers
        self.rules = ["TEXT: /(?s:.*)/"]
        self.grammars: list[dict[str, Any]] = []

    def mark(self, name: str) -> str:
        return f"<[{getattr(self._markers, name)}]>"

    def message(self, author: str, channel: str, body: str, end: str) -> str:
        """One message: what follows "assistant", what follows ``<|channel|>``, body, terminator."""
        mark = self.mark
        return f"{author} {mark('channel')} {channel} {mark('message')} {body} {mark(end)}".strip()

    def body(self, body: Body) -> str:
        """A reference to the grammar of a body."""
        if body.grammar is None:
            return "TEXT"
        name = f"body{len(self.grammars)}"
        self.grammars.append({"name": name} | body.grammar)
        return f"@{name}"


def frame_grammar(
    rules: FrameRules, phase: Phase, markers: Markers, body_of: Callable[[str | None], Body]
) -> str:
    """The grammar of one message in `phase`, as llguidance reads it; `body_of(None)` is the final's body."""
    lark = _Lark(markers)
    messages: list[str] = []
    if phase == "free" and "analysis" in rules.channels:
        messages.append(lark.message("", '"analysis"', "TEXT", "end"))
    if phase != "answer" and "commentary" in rules.channels:
        messages.append(lark.message("", '"commentary"', "TEXT", "end"))
    if not rules.must_call:
        messages.append(_final(lark, rules, phase, body_of(None)))
    if phase != "answer" or rules.must_call:
        for callee in rules.callees:
            channels = _channels(callee, rules)
            messages.append(_call(lark, callee, phase, channels, body_of(callee.recipient)))
    lark.rules += [
        f'content_type: | " "? {lark.mark("constrain")} "json" | " json" | " code"',
        f"NAME: /{_NAME}/",
        "start: " + "\n    | ".join(messages),
    ]
    return json.dumps({"grammars": [{"lark_grammar": "\n".join(lark.rules)}, *lark.grammars]})


def _final(lark: _Lark, rules: FrameRules, phase: Phase, body: Body) -> str:
    typed = rules.response_format is not None and phase != "answer"
    marked = f'( " "? {lark.mark("constrain")} "json" )?' if typed else ""
    return lark.message("", f'"final" {marked}', lark.body(body), "return_")


def _channels(callee: Callee, rules: FrameRules) -> tuple[str, ...]:
    """Where a recipient is called, the usual channel first."""
    may_be_analysis = "analysis" in rules.channels and not is_named(callee, rules.functions)
    return ("analysis", "commentary") if may_be_analysis else ("commentary",)


def _call(lark: _Lark, callee: Callee, phase: Phase, channels: tuple[str, ...], body: Body) -> str:
    """A call, its recipient after the author or after the channel."""
    rule = f"call{len(lark.rules)}"
    content = lark.body(body)
    if phase == "answer":
        lark.rules.append(f"{rule}: {_usual_call(lark, callee, channels[0], content)}")
        return rule
    channel = f"( {' | '.join(map(_literal, channels))} )"
    to = _literal(f" to={callee.recipient}") + ("" if callee.tool else ' ( "." NAME )?')
    author_first = lark.message(to, f"{channel} content_type", content, "call")
    channel_first = lark.message("", f"{channel} {to} content_type", content, "call")
    lark.rules.append(f"{rule}: {author_first}\n    | {channel_first}")
    return rule


def _usual_call(lark: _Lark, callee: Callee, channel: str, content: str) -> str:
    """The form a call has in training data: functions with JSON, python with code."""
    takes_json = callee.tool is not None and callee.tool.text_input is None
    content_type = f'" " {lark.mark("constrain")} "json"' if takes_json else "" if callee.tool else '" code"'
    to = _literal(f" to={callee.recipient}")
    return lark.message(to, f"{_literal(channel)} {content_type}", content, "call")


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
