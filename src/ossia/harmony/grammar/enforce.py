"""What a schema, a regex or a user's grammar becomes for llguidance, and what of it cannot be enforced.

A gap is a keyword that is checked after the fact instead: llguidance refuses it, or takes it and does not
hold to it. Everything else is enforced while sampling.
"""

import copy
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn, cast

import llguidance

from ossia.errors import InputError
from ossia.harmony.grammar.schemas import Schema, has_finite_value, normalized, subschemas
from ossia.harmony.messages import TextInput

# As models write JSON: a space, or a line end and indentation; bounded, so that none can stall there.
_WHITESPACE = r"[ \t]{1,2}|(\r?\n){1,2}[ \t]{0,40}"
_OPTIONS = {"whitespace_pattern": _WHITESPACE, "json_allow_general_unicode_escapes": True}
_UNKNOWN_TO_GRAMMAR = {
    *("not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies", "contains"),
    *("minContains", "maxContains", "propertyNames", "uniqueItems", "unevaluatedItems"),
    *("unevaluatedProperties", "$dynamicRef", "$recursiveRef"),
}
_SAYS_NOTHING: dict[str, tuple[object, ...]] = {
    "uniqueItems": (False,),
    "unevaluatedItems": (True, {}),
    "unevaluatedProperties": (True, {}),
    "propertyNames": (True, {}),
    "not": (False,),
}
_STRUCTURE = {"properties", "$defs", "definitions", "type", "$schema", "$id", "x-guidance"}
# In Rust's classes [, &&, -- and ~~ have a meaning that JSON Schema's regexes do not give them.
_RUST_CLASS = re.compile(r"\[(?:\\.|[^\]\\])*?(?:(?<!\\)(?<!^)\[|&&|--|~~)")
_UNSATISFIABLE = "Unsatisfiable schema"


@dataclass(frozen=True, slots=True)
class Gap:
    """A keyword that is not enforced, and where it stands."""

    keyword: str
    path: str

    def __str__(self) -> str:
        return f"{self.keyword!r} at {self.path}"


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a message: a named grammar's definition (None: any text), and what it leaves open."""

    grammar: dict[str, Any] | None
    gaps: tuple[Gap, ...] = ()


def schema_body(schema: dict[str, Any], what: str, *, is_object: bool, strict: bool) -> Body:
    """The grammar of JSON that `schema` describes, of an object where `is_object`.

    Raises InputError where nothing can satisfy the schema and, where `strict`, where it cannot be enforced;
    `what` says whose schema it is.
    """
    try:
        text = json.dumps(schema)
    except (TypeError, ValueError) as cause:
        _refuse(what, f"is not JSON ({cause})", "", "Use strings, numbers, lists and objects only.")
    body = _enforceable(text, what, is_object)
    if strict and body.gaps:
        gap = body.gaps[0]
        _refuse(
            what,
            f"cannot be enforced: {gap}",
            gap.keyword,
            "Leave the keyword out, or set strict to false to have it checked after the fact.",
        )
    return body


def text_body(text_input: TextInput, what: str) -> Body:
    """The grammar of a call's plain text; raises InputError where it cannot be one, or nothing matches it."""
    if text_input.regex is not None and text_input.lark is not None:
        _refuse(what, "has both a regex and a grammar", text_input.regex, "Give one of the two.")
    if text_input.regex is not None:
        body = Body({"lark_grammar": f"start: /{_lark_regex(text_input.regex)}/"})
    elif text_input.lark is not None:
        _check_lark(text_input.lark, what)
        body = Body({"lark_grammar": text_input.lark})
    else:
        return Body(None)
    if error := grammar_error(body.grammar or {}):
        given = text_input.regex if text_input.regex is not None else text_input.lark
        _refuse(
            what, f"cannot be used: {error}", given, "Correct it (Rust's regex syntax, llguidance's Lark)."
        )
    return body


def any_object() -> Body:
    """A JSON object of any kind."""
    return Body({"json_schema": {"type": "object", "x-guidance": _OPTIONS}})


def grammar_error(grammar: dict[str, Any]) -> str:
    """What llguidance finds wrong with a grammar, "" if nothing."""
    text = json.dumps({"grammars": [grammar]})
    failed, messages = llguidance.LLMatcher.validate_grammar_with_warnings(text)
    return messages[0].splitlines()[0] if failed else ""


@lru_cache(maxsize=256)
def _enforceable(text: str, what: str, is_object: bool) -> Body:
    schema = normalized(json.loads(text))
    if is_object:
        schema.setdefault("type", "object")
    if not has_finite_value(schema):
        _refuse(what, "requires itself without end", "$ref", "Make the recursive property optional.")
    schema, gaps = _without_unknown(schema)
    schema, more = _relaxed(schema, what, is_object)
    return Body({"json_schema": schema | {"x-guidance": _OPTIONS}}, (*gaps, *more))


def _without_unknown(schema: Schema) -> tuple[Schema, list[Gap]]:
    """Drop what llguidance has no notion of, and note what it would not hold to."""
    gaps: list[Gap] = []
    for path, node in subschemas(schema):
        unknown = {k: node.pop(k) for k in list(node) if k in _UNKNOWN_TO_GRAMMAR}
        gaps += [Gap(k, path) for k, value in unknown.items() if value not in _SAYS_NOTHING.get(k, ())]
        if _repeats_names(node):  # a name may come twice, and then there are fewer than counted
            gaps.append(Gap("minProperties", path))
        if isinstance(node.get("pattern"), str) and _RUST_CLASS.search(node["pattern"]):
            del node["pattern"]
            gaps.append(Gap("pattern", path))
    return schema, gaps


def _repeats_names(node: Schema) -> bool:
    least, required = node.get("minProperties", 0), cast(object, node.get("required", []))
    return isinstance(least, int) and isinstance(required, list) and least - len(cast(Schema, required)) > 1


def _relaxed(schema: Schema, what: str, is_object: bool) -> tuple[Schema, list[Gap]]:
    """Drop as few keywords as it takes for llguidance to accept the schema."""
    gaps: list[Gap] = []
    while error := grammar_error({"json_schema": schema}):
        if _UNSATISFIABLE in error:
            _refuse(what, f"can be satisfied by nothing ({error})", error, "Resolve the contradiction.")
        step = _smaller_problem(schema, error)
        if step is None:
            return {"type": "object"} if is_object else {}, [*gaps, Gap(error, "#")]
        schema, removed = step
        gaps += removed
    return schema, gaps


def _smaller_problem(schema: Schema, error: str) -> tuple[Schema, list[Gap]] | None:
    """The schema without the keyword that `error` is about, wherever it disturbs; None if none is found."""
    for keyword in _suspects(schema, error):
        paths = [path for path, node in subschemas(schema) if keyword in node]
        if grammar_error({"json_schema": _without(schema, keyword, paths)}) == error:
            continue
        guilty = list(paths)
        for path in paths:  # put back those that do no harm
            fewer = [p for p in guilty if p != path]
            if fewer and grammar_error({"json_schema": _without(schema, keyword, fewer)}) != error:
                guilty = fewer
        return _without(schema, keyword, guilty), [Gap(keyword, path) for path in guilty]
    return None


def _suspects(schema: Schema, error: str) -> list[str]:
    """Keywords the schema uses, those first that the error names."""
    used = list(dict.fromkeys(k for _, node in subschemas(schema) for k in node if k not in _STRUCTURE))
    aliases = {"pattern": "regex", "$ref": "Pointer", "patternProperties": "regex"}
    return sorted(used, key=lambda k: (k not in error and aliases.get(k, k) not in error, used.index(k)))


def _without(schema: Schema, keyword: str, paths: Iterable[str]) -> Schema:
    """A copy without `keyword` at `paths`; of oneOf, anyOf is kept."""
    copied, chosen = copy.deepcopy(schema), set(paths)
    for path, node in list(subschemas(copied)):
        if path in chosen and keyword in node:
            value = node.pop(keyword)
            if keyword == "oneOf" and isinstance(value, list):
                node["allOf"] = [*node.get("allOf", []), {"anyOf": value}]
    return copied


def _lark_regex(regex: str) -> str:
    return llguidance.regex_to_lark(regex, "").replace("\n", "\\n").replace("\r", "\\r")


# Strings, regexes and comments of a Lark grammar; what stands outside of them is its own text.
_LARK_LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"|/(?![/*])(?:\\.|[^/\\\n])+/|(?://|#)[^\n]*')
_LARK_FORBIDDEN = re.compile(r"[<@]|%(?:llguidance|lark|json)\b|\b(?:max_tokens|temperature|stop|suffix)\s*=")


def _check_lark(lark: str, what: str) -> None:
    """A user's grammar must not name control tokens, other grammars, or what undoes rollback."""
    if found := _LARK_FORBIDDEN.search(_LARK_LITERAL.sub(" ", lark)):
        _refuse(what, f"uses {found[0]!r}", found[0], "Describe text only: rules, strings and regexes.")


def _refuse(what: str, problem: str, value: object, remedy: str) -> NoReturn:
    raise InputError(f"{what} {problem}", value=value, limit="a schema that can be enforced", remedy=remedy)
