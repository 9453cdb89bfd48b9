"""Pieces of TypeScript that hold whatever they are given: comments, literals, names, and how types combine.

Does not know JSON Schema. The escapes are TypeScript's own: its line ends are \\n, \\r, U+2028 and U+2029.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from ossia.harmony.schema.reading import compact

_LINE_END = re.compile(r"\r\n|[\n\r\u2028\u2029]")
_UNSAFE_IN_STRING = re.compile(r"[\u2028\u2029\ud800-\udfff]")
_CANONICAL_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")

Kind = Literal["atom", "intersection", "union", "block"]


@dataclass(frozen=True, slots=True)
class TsType:
    """A type's text and what must be known to build on it.

    A "block" is a union with one alternative a line, the first on a line of its own; `is_open` when its last
    line is a comment, so that nothing may follow it there; `alone` when it has a single plain alternative.
    """

    text: str
    kind: Kind = "atom"
    has_null: bool = False
    is_any: bool = False
    is_open: bool = False
    alone: bool = False


ANY = TsType("any", is_any=True)
NEVER = TsType("never")
NULL = TsType("null", has_null=True)


def comment_lines(text: str) -> list[str]:
    """`text` cut where a comment would end. Line ends with nothing after them are left: nothing gets out."""
    first, *rest = _LINE_END.split(text)
    return [first, *rest] if any(line.strip() for line in rest) else [text]


def comment(text: str, indent: str) -> str:
    """`text` as comment lines of their own."""
    return "".join(f"{indent}// {line}\n" for line in comment_lines(text))


def trailing(comments: list[str | None], indent: str) -> str:
    """The comment at the end of a line; more lines of it follow below."""
    present = [comment for comment in comments if comment is not None]
    return " // " + f"\n{indent}// ".join(comment_lines(" ".join(present))) if present else ""


def literal(value: Any) -> str:
    """A JSON value as a literal type, which is JSON with TypeScript's line ends escaped."""
    return _UNSAFE_IN_STRING.sub(lambda found: f"\\u{ord(found[0]):04x}", compact(value))


def property_name(name: str) -> str:
    """`name` as it may stand before a colon: quoted unless it is an identifier or a plain number."""
    if name.replace("$", "_").isidentifier() or _CANONICAL_NUMBER.fullmatch(name):
        return name
    return literal(name)


def type_name(name: str) -> str:
    """The identifier nearest to `name`."""
    cleaned = re.sub(r"\W+", "_", name).strip("_")
    return cleaned if cleaned.isidentifier() else f"T_{cleaned}".rstrip("_")


def operand(ts: TsType, indent: str) -> str:
    """`ts` where ``[]`` or ``&`` binds tighter: in parentheses unless it is one piece."""
    if ts.kind == "block":
        return f"({ts.text}\n{indent})"
    return ts.text if ts.kind == "atom" else f"({ts.text})"


def closed(ts: TsType, indent: str) -> str:
    """`ts` where something follows on its last line."""
    return f"{ts.text}\n{indent}" if ts.is_open else ts.text


def inline(ts: TsType, indent: str) -> str:
    """`ts` where a union may stand, but not one that begins with a line end."""
    return operand(ts, indent) if ts.kind == "block" else ts.text


def array(items: TsType, indent: str) -> TsType:
    """An array of `items`."""
    if items.alone:
        return TsType(f"{items.text}[]", "block", alone=True)
    return TsType(f"{operand(items, indent)}[]")


def or_null(ts: TsType, indent: str) -> TsType:
    """`ts` or null."""
    if ts.has_null:
        return ts
    line_end = f"\n{indent}" if ts.kind == "block" else ""
    kind = "block" if line_end else "union"
    return TsType(f"{ts.text}{line_end} | null", kind, has_null=True, is_any=ts.is_any)


def union(parts: list[TsType], indent: str) -> TsType:
    """Any of `parts`, on one line as far as they are."""
    if len(parts) == 1:
        return parts[0]
    text = " | ".join(inline(part, indent) for part in parts)
    has_null, is_any = any(part.has_null for part in parts), any(part.is_any for part in parts)
    return TsType(text, "union", has_null, is_any)


def intersection(parts: list[TsType], indent: str) -> TsType:
    """All of `parts`."""
    if len(parts) == 1:
        return parts[0]
    texts = [part.text if part.kind == "intersection" else operand(part, indent) for part in parts]
    return TsType(" & ".join(texts), "intersection")
