"""Docstrings read for the model's sake: what a function does, and what each parameter means.

Understands Google's ``Args:``, NumPy's underlined ``Parameters`` and Sphinx's ``:param x:``; everything
before the first section is the description.
"""

import inspect
import re
from dataclasses import dataclass, field

_PARAMETERS = frozenset({"args", "arguments", "parameters", "params", "other parameters"})
_SECTIONS = _PARAMETERS | {
    *("returns", "return", "yields", "yield", "raises", "raise", "example", "examples", "note", "notes"),
    *("warning", "warnings", "warns", "attributes", "references", "see also", "keyword arguments", "todo"),
}
_GOOGLE = re.compile(r"(\w[\w ]*):\s*$")
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY_ENTRY = re.compile(r"\*{0,2}(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?$")
_SPHINX = re.compile(r":(param|parameter|arg|argument)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)")
_SPHINX_FIELD = re.compile(r":(\w+)[^:]*:")


@dataclass(frozen=True, slots=True)
class Docstring:
    """`description` (paragraphs kept, lines within them joined) and a text for each described parameter."""

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict[str, str])


def parse_docstring(text: str | None) -> Docstring:
    """Read a docstring; never raises, and what it does not recognise stays in the description."""
    lines = inspect.cleandoc(text or "").splitlines()
    description: list[str] = []
    parameters: dict[str, str] = {}
    i = 0
    while i < len(lines):
        title, body = _section_at(lines, i)
        if title is None:
            description.append(lines[i])
            i += 1
            continue
        end = _section_end(lines, body)
        if title in _PARAMETERS:
            parameters |= _entries(lines[body:end], numpy=body == i + 2)
        elif title == "field":
            parameters |= _sphinx(lines[body:end])
        i = end
    return Docstring(_paragraphs(description), parameters)


def _section_at(lines: list[str], i: int) -> tuple[str | None, int]:
    """The section that begins at line `i` (lower case; "field" for Sphinx) and where its body begins."""
    line = lines[i]
    underlined = i + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[i + 1].strip())
    if underlined and line.strip().lower() in _SECTIONS:
        return line.strip().lower(), i + 2
    if (m := _GOOGLE.fullmatch(line)) and m[1].lower() in _SECTIONS:
        return m[1].lower(), i + 1
    if _SPHINX_FIELD.match(line):
        return "field", i
    return None, i


def _section_end(lines: list[str], body: int) -> int:
    if body < len(lines) and _SPHINX_FIELD.match(lines[body]):
        return len(lines)  # fields close a docstring
    for i in range(body, len(lines)):
        if _section_at(lines, i)[0] is not None:
            return i
        # Google's sections are indented: text back at the margin is description again.
        if lines[body - 1].rstrip().endswith(":") and lines[i].strip() and not lines[i][0].isspace():
            return i
    return len(lines)


def _entries(lines: list[str], *, numpy: bool) -> dict[str, str]:
    """Parameters of a Google or NumPy section: an entry at the section's margin, its text indented below."""
    block = inspect.cleandoc("\n" + "\n".join(lines)).splitlines()
    entry = _NUMPY_ENTRY if numpy else _GOOGLE_ENTRY
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in block:
        match = entry.match(line) if line and not line[0].isspace() else None
        if match is None:
            current.append(line)
            continue
        current = [] if numpy else [match[2]]
        for name in match[1].split(","):
            found[name.strip()] = current
    return {name: text for name, parts in found.items() if (text := _paragraphs(parts))}


def _sphinx(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if match := _SPHINX.match(line):
            current = found.setdefault(match[2], [match[3]])
        elif _SPHINX_FIELD.match(line):
            current = []
        else:
            current.append(line)
    return {name: text for name, parts in found.items() if (text := _paragraphs(parts))}


def _paragraphs(lines: list[str]) -> str:
    blocks = re.split(r"\n\s*\n", "\n".join(line.strip() for line in lines).strip())
    return "\n".join(" ".join(block.split("\n")) for block in blocks if block)
