"""Writes `docs/harmony-repairs.md` from `harmony_malformed.json`: run it after changing a shape."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent
PAGE = GOLDEN.parents[1] / "docs" / "harmony-repairs.md"

INTRODUCTION = """\
# What the Harmony parser mends

gpt-oss models do not always write the [Harmony](harmony.md) they were taught: with a strict parser about
4% of the turns of gpt-oss-20b fail at temperature 1.0 (ggml-org/llama.cpp#27720). Ossia's parser never
fails. It takes any sequence of token ids, puts every token into exactly one span, and reports each
repair as a `Diagnostic`: a code, the tokens, and what was assumed.

Five rules decide every reading:

1. What was labelled analysis never becomes the answer.
2. What was labelled final is never lost.
3. The recipient decides what is a call, not the channel and not how the message ends; a role is no tool.
4. Control tokens steer and are never text. Text steers nowhere but in a header, where it can mean nothing
   else.
5. Text that nobody labelled is the answer if nothing follows it, and thought if it ended in `<|end|>` and
   more follows.

```python
from ossia.harmony import parse
from ossia.tokenizer import load_o200k_harmony

tok = load_o200k_harmony()
ids = [tok.markers.channel, *tok.encode("final It is 4."), tok.markers.return_]  # no <|message|>
messages, diagnostics = parse(ids, tok, role="assistant")
```

With `strict=True` the first diagnostic is raised as a `HarmonyError` instead. A message that was read without
a diagnostic remembers its ids and renders again exactly as it was sampled; a mended one renders in canonical
form.

The codes:

{codes}

Below are the {count} shapes the parser is tested on: found in public threads, or (where it says *after*) a
variation of what a thread shows. `⟦…⟧` is a marker spelled out as ordinary text, `⏎` a line break. Every
example continues a prompt that ended in `<|start|>assistant`. openai-harmony 0.0.8 in its strict default
refuses {refuses} of them, reads {alike} as Ossia does, and {otherwise} otherwise, mostly with part of the
header in the recipient or with markers in the text. The page is made from the tests' own data.
"""


REFERENCE = {"alike": "the same", "refuses": "an error", "otherwise": "something else"}
MEANINGS = {
    "bare-recipient": "A recipient without `to=`.",
    "call-channel": "A call to a function outside the commentary channel.",
    "call-without-marker": "A call that did not end in `<|call|>`.",
    "foreign-role": "The model wrote a message of somebody else.",
    "garbled-channel": "A channel's name inside a longer word; read as that channel.",
    "header-words": "Words in a header that mean nothing there, or parts of them; left out.",
    "marker-without-call": "`<|call|>` after a message to nobody.",
    "misplaced-channel": "A channel's name in place of the author or the content type; read as the channel.",
    "missing-channel": "An assistant message without a channel.",
    "missing-end": "The next message began before this one ended.",
    "missing-message": "A header without `<|message|>`; what followed it is the body.",
    "missing-role": "A header that does not say whose message it is; the assistant's.",
    "missing-start": "A header without `<|start|>`.",
    "recipient-in-role": "The name of a tool where the author should be; read as the recipient.",
    "repeated-channel": "Two channels in one header; the last known one counts.",
    "repeated-constrain": "Two `<|constrain|>` in one header; the first that names something counts.",
    "repeated-recipient": "Two recipients in one header; the last counts.",
    "skipped-header": "A header, or filler between messages, that never became a message.",
    "spelled-header": "Headers without any marker (`analysis…assistantfinal…`); read as headers.",
    "spelled-marker": "A marker written as text in a header; read as the marker.",
    "stray-token": "A token between messages that begins none.",
    "unexpected-token": "A control token, or an id outside the vocabulary, left out of a message.",
    "unknown-channel": "A channel that Harmony does not have; kept under its name.",
    "unknown-role": "An author that is neither a role nor a tool; the assistant.",
}


def page(shapes: Sequence[dict[str, Any]]) -> str:
    """Return the whole page."""
    codes = "\n".join(f"- `{code}`: {meaning}" for code, meaning in MEANINGS.items())
    words = dict(Counter(shape["reference"] for shape in shapes)) | {"count": len(shapes), "codes": codes}
    introduction = _linked(INTRODUCTION)
    for word, value in words.items():
        introduction = introduction.replace(f"{{{word}}}", str(value))
    parts = [introduction]
    for group, members in groupby(shapes, key=lambda shape: shape["group"]):
        parts.append(f"\n## {_markers_as_code(group)}\n")
        parts += [_entry(shape) for shape in members]
    return "\n".join(parts)


def _entry(shape: dict[str, Any]) -> str:
    source = (
        shape["source"].replace("after ", "*after* ", 1)
        if shape["source"].startswith("after ")
        else shape["source"]
    )
    codes = ", ".join(f"`{code}`" for code in shape["codes"]) or "no diagnostic"
    lines = [
        f"### {shape['id'].replace('-', ' ')}",
        "",
        f"{_markers_as_code(shape['reading'])} Source: {_linked(_markers_as_code(source))}.",
        "",
        "```text",
        shape["text"].replace("[[", "⟦").replace("]]", "⟧").replace("\n", "⏎") or "(no token at all)",
        "```",
        "",
        *(f"- {_said(message)}" for message in shape["messages"]),
        f"- {codes}",
        f"- openai-harmony 0.0.8: {REFERENCE[shape['reference']]}",
        "",
    ]
    return "\n".join(lines)


def _linked(text: str) -> str:
    """Threads as links: GitHub leads from /issues/ to pull requests too."""
    return re.sub(r"([\w.-]+/[\w.-]+)#(\d+)", r"[\1#\2](https://github.com/\1/issues/\2)", text)


def _said(message: dict[str, Any]) -> str:
    who = message.get("name") or message.get("role", "assistant")
    where = message.get("channel", "no channel")
    to = f" to `{message['recipient']}`" if "recipient" in message else ""
    kind = f" ({_code(message['content_type'])})" if "content_type" in message else ""
    text = message["text"].replace("\n", "⏎")
    return f"{who}, {where}{to}{kind}: {_code(text) if text else 'nothing'}"


def _code(text: str) -> str:
    return f"`{text}`"


def _markers_as_code(text: str) -> str:
    """Markers outside of code would vanish as HTML."""
    pieces = text.split("`")
    return "`".join(
        piece if number % 2 else piece.replace("<|", "&lt;|") for number, piece in enumerate(pieces)
    )


if __name__ == "__main__":
    PAGE.write_text(page(json.loads((GOLDEN / "harmony_malformed.json").read_text())))
