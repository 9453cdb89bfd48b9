"""What a schema, a regex or a user's grammar becomes for llguidance, and what of it cannot be enforced.

A gap is a keyword that is checked after the fact instead: llguidance refuses it, or takes it and does not
hold to it. Everything else is enforced while sampling.
"""

import copy
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn, cast

import llguidance

from ossia.errors import InputError
from ossia.harmony.grammar.schemas import Schema, cut_endless, normalized, subschemas
from ossia.harmony.grammar.vocabulary import byte_vocabulary
from ossia.harmony.messages import TextInput

# As models write JSON: a space, or a line end and indentation; bounded, so that none can stall there.
_WHITESPACE = r"[ \t]{1,2}|(\r?\n){1,2}[ \t]{0,40}"
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
_STRUCTURE = {"properties", "$defs", "definitions", "$schema", "$id", "x-guidance"}
_COMPOSED = {"allOf", "anyOf", "oneOf", "$ref"}
_BOUNDS = ("exclusiveMinimum", "exclusiveMaximum", "minimum", "maximum")
_NUMBERS = ("const", "enum", *_BOUNDS, "multipleOf")
_EXACT = 2**53  # llguidance computes in doubles
_MOST_REMAINDERS = 1000  # llguidance makes a state for each
_LONGEST_FORCED = 10_000  # bytes without a choice
_TOO_DEEP = "recursion limit"
_MOST_TRIED = 32
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
        body = _enforceable(json.dumps(schema, allow_nan=False), what, is_object)
    except (TypeError, ValueError) as cause:
        _refuse(what, f"is not JSON ({cause})", "", "Use strings, numbers, lists and objects only.")
    except RecursionError:
        _refuse(what, "is nested too deeply", "", "Use definitions and references.")
    if strict and body.gaps:
        gap = body.gaps[0]
        _refuse(
            what,
            f"cannot be enforced: {gap}",
            gap.keyword,
            "Leave the keyword out, or set strict to false to have it checked after the fact.",
        )
    return body


@lru_cache(maxsize=256)
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
    grammar = body.grammar or {}
    if error := grammar_error(grammar) or _dead_end(grammar):
        given = text_input.regex if text_input.regex is not None else text_input.lark
        _refuse(
            what, f"cannot be used: {error}", given, "Correct it (Rust's regex syntax, llguidance's Lark)."
        )
    return body


def any_object() -> Body:
    """A JSON object of any kind."""
    return Body({"json_schema": _with_options({"type": "object"})})


def grammar_error(grammar: dict[str, Any]) -> str:
    """What llguidance finds wrong with a grammar, "" if nothing."""
    text = json.dumps({"grammars": [grammar]})
    failed, messages = llguidance.LLMatcher.validate_grammar_with_warnings(text)
    return messages[0].splitlines()[0] if failed else ""


def _dead_end(grammar: dict[str, Any]) -> str:
    """Why no text at all satisfies a grammar, "" if one might."""
    matcher = llguidance.LLMatcher(byte_vocabulary(), json.dumps({"grammars": [grammar]}), log_level=0)
    if len(matcher.compute_ff_bytes()) > _LONGEST_FORCED:
        return "it leaves no way to end"
    if not any(matcher.compute_bitmask()) or matcher.is_error():
        return "nothing matches it"
    return ""


@lru_cache(maxsize=256)
def _enforceable(text: str, what: str, is_object: bool) -> Body:
    schema = normalized(json.loads(text))
    if is_object:
        if "object" not in schema.get("type", "object"):
            _refuse(what, "describes no object", schema["type"], 'Set "type" to "object".')
        schema["type"] = "object"
    if not cut_endless(schema):
        _refuse(what, "requires itself without end", "$ref", "Make the recursive property optional.")
    schema, gaps = _without_unknown(schema)
    schema, more = _relaxed(schema, what, is_object)
    return Body({"json_schema": _with_options(schema)}, (*gaps, *more))


def _with_options(schema: Schema) -> Schema:
    r"""Let strings hold ``\uXXXX`` as far as no name of a property can be told in another way by it.

    llguidance would let an escaped name of `properties` pass as one of the others, and any escape past
    `patternProperties`. In the first case what must be escaped still may, and nothing that need not.
    """
    opened = [node for _, node in subschemas(schema) if node.get("additionalProperties") is not False]
    options: dict[str, object] = {"whitespace_pattern": _WHITESPACE}
    if any(node.get("patternProperties") for node in opened):
        options["json_allowed_escapes"] = 'nrbtf\\"'
    elif not any(node.get("properties") or node.get("required") for node in opened):
        options["json_allow_general_unicode_escapes"] = True
    return schema | {"x-guidance": options}


def _without_unknown(schema: Schema) -> tuple[Schema, list[Gap]]:
    """Drop what llguidance has no notion of, and note what it would not hold to."""
    gaps: list[Gap] = []
    for path, node in subschemas(schema):
        unknown = {k: node.pop(k) for k in list(node) if k in _UNKNOWN_TO_GRAMMAR}
        gaps += [Gap(k, path) for k, value in unknown.items() if value not in _SAYS_NOTHING.get(k, ())]
        if _repeats_names(node):  # a name may come twice, and then there are fewer than counted
            gaps.append(Gap("minProperties", path))
        for keyword in ("format", "pattern"):
            if keyword in node and not knows(keyword, str(node[keyword])):
                del node[keyword]
                gaps.append(Gap(keyword, path))
        for keyword in [k for k in _NUMBERS if k in node and not _is_computed(k, node[k])]:
            del node[keyword]
            gaps.append(Gap(keyword, path))
    return schema, [*gaps, *_zeros_let_pass(schema)]


def _zeros_let_pass(schema: Schema) -> list[Gap]:
    """Bounds that exclude zero beside a fraction of one: llguidance takes -0 or 0 there all the same."""
    gaps: dict[Gap, None] = {}
    for path, node in subschemas(schema):
        composed = not _COMPOSED.isdisjoint(node)
        group = list(subschemas(node, path)) if composed else [(path, node)]
        bounds = [inner[k] for _, inner in group for k in _BOUNDS if isinstance(inner.get(k), int | float)]
        if any(0 < abs(bound) < 1 for bound in bounds):
            gaps |= {Gap(k, at): None for at, inner in group for k in _BOUNDS[:2] if _is_zero(inner.get(k))}
    return list(gaps)


def _is_zero(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def _is_computed(keyword: str, value: object) -> bool:
    """Does llguidance compute with what `keyword` says as it is, and without too many states?"""
    if keyword == "multipleOf" and isinstance(value, int | float) and _remainders(value) > _MOST_REMAINDERS:
        return False
    return _is_exact(value)


def _remainders(step: float) -> int:
    """How many remainders a multiple of `step` has to be told from, digit by digit."""
    _, digits, exponent = Decimal(repr(step)).normalize().as_tuple()
    return int("".join(map(str, digits))) * 10 ** max(int(exponent), 0)


def _is_exact(value: object) -> bool:
    """Are all numbers in `value` the same as doubles?"""
    if isinstance(value, dict):
        return all(map(_is_exact, cast(Schema, value).values()))
    if isinstance(value, list):
        return all(map(_is_exact, cast(list[object], value)))
    return not isinstance(value, int) or abs(value) <= _EXACT


@lru_cache(maxsize=1024)
def knows(keyword: str, value: str) -> bool:
    """Whether llguidance has this `format`, or understands this `pattern`."""
    error = grammar_error({"json_schema": {"type": "string", keyword: value}})
    return not error or _UNSATISFIABLE in error


def _repeats_names(node: Schema) -> bool:
    least, required = node.get("minProperties", 0), cast(object, node.get("required", []))
    return isinstance(least, int) and isinstance(required, list) and least - len(cast(Schema, required)) > 1


def _relaxed(schema: Schema, what: str, is_object: bool) -> tuple[Schema, list[Gap]]:
    """Drop as few keywords as it takes for llguidance to accept the schema."""
    gaps: list[Gap] = []
    while error := grammar_error({"json_schema": schema}):
        suspects = _suspects(schema, error)
        step = None if _TOO_DEEP in error else _smaller_problem(schema, error, suspects)
        if step is None and _UNSATISFIABLE in error:
            _refuse(what, f"can be satisfied by nothing ({error})", error, "Resolve the contradiction.")
        if step is None:
            gaps.append(Gap("nesting" if _TOO_DEEP in error else error, "#"))
            return {"type": "object"} if is_object else {}, gaps
        schema, removed = step
        gaps += removed
    return schema, gaps


def _smaller_problem(schema: Schema, error: str, suspects: Iterable[str]) -> tuple[Schema, list[Gap]] | None:
    """The schema without the keyword that `error` is about, wherever it disturbs; None if none is found."""

    def helps(keyword: str, paths: Iterable[str]) -> bool:
        return not _same_kind(grammar_error({"json_schema": _without(schema, keyword, paths)}), error)

    for keyword in suspects:
        guilty = [path for path, node in subschemas(schema) if keyword in node]
        if not helps(keyword, guilty):
            continue
        for path in guilty[:_MOST_TRIED]:  # put back those that do no harm
            fewer = [p for p in guilty if p != path]
            if fewer and helps(keyword, fewer):
                guilty = fewer
        return _without(schema, keyword, guilty), [Gap(keyword, path) for path in guilty]
    return None


def _same_kind(one: str, other: str) -> bool:
    """Do two errors complain of the same, if not with the same words?"""
    return one == other or (bool(one) and one.partition(":")[0] == other.partition(":")[0])


def _suspects(schema: Schema, error: str) -> list[str]:
    """Keywords the schema uses, those first that the error names.

    Where a schema is unsatisfiable, only `format`, which by itself forbids nothing (it is an annotation).
    """
    if _UNSATISFIABLE in error:
        return ["format"]
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


# Strings, regexes and comments as llguidance's own lexer cuts them; what is left is the grammar's own text.
_LARK_LITERAL = re.compile(
    r'"(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2})|[^"\\\x00-\x1f\x7f])*"'
    r"|(?://|#)[^\n]*|/(?:\\.|[^/\\])+/"
)
_LARK_FORBIDDEN = re.compile(
    r"[<@\"/]|%(?:llguidance|lark|json)\b|\b(?:max_tokens|temperature|stop|suffix)\s*="
)


def _check_lark(lark: str, what: str) -> None:
    """A user's grammar must not name control tokens, other grammars, or what undoes rollback."""
    if found := _LARK_FORBIDDEN.search(_LARK_LITERAL.sub(" ", lark)):
        _refuse(what, f"uses {found[0]!r}", found[0], "Describe text only: rules, strings and regexes.")


def _refuse(what: str, problem: str, value: object, remedy: str) -> NoReturn:
    raise InputError(f"{what} {problem}", value=value, limit="a schema that can be enforced", remedy=remedy)
