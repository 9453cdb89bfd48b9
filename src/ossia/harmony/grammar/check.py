"""Whether a body satisfies what was declared for it: what could not be enforced is checked here.

Uses the jsonschema library, without its format checks and without ever following a remote reference.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast

import llguidance
import referencing
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

from ossia.harmony.grammar.enforce import knows
from ossia.harmony.grammar.schemas import normalized
from ossia.harmony.grammar.vocabulary import byte_vocabulary
from ossia.tokenizer.pieces import well_formed


def json_problem(text: str, schema: dict[str, Any] | None, *, is_object: bool) -> str | None:
    """What is wrong with `text` as JSON of `schema` (None: any), None if nothing is."""
    try:
        value: Any = json.loads(text, parse_constant=_reject_constant)
    except RecursionError:
        return "the JSON is nested too deeply"
    except ValueError as cause:
        return f"not valid JSON: {cause}"
    if is_object and not isinstance(value, dict):
        return "not a JSON object"
    return None if schema is None else _schema_problem(json.dumps(schema), cast(Any, value))


def text_problem(text: str, grammar: dict[str, Any] | None) -> str | None:
    """What is wrong with `text` under a text tool's grammar (None: any text), None if nothing is."""
    if grammar is None:
        return None
    matcher = llguidance.LLMatcher(byte_vocabulary(), json.dumps({"grammars": [grammar]}), log_level=0)
    data = list(text.encode(errors="replace"))
    taken = matcher.try_consume_tokens(data)
    if taken < len(data):
        return f"does not match its grammar from byte {taken} on"
    return None if matcher.is_accepting() else "ends before its grammar does"


def _schema_problem(schema: str, value: Any) -> str | None:
    try:
        error = next(iter(_validator(schema).iter_errors(value)), None)
    except Exception:  # a malformed schema, or a reference to elsewhere: nothing can be said
        return None
    if error is None:
        return None
    return f"{error.json_path}: {error.message[:500]}"


@lru_cache(maxsize=256)
def _validator(schema: str) -> Validator:
    loaded = normalized(json.loads(schema))
    base = validators.validator_for(loaded, default=Draft202012Validator)
    extend = cast(Any, validators).extend
    changed: Any = extend(base, {"multipleOf": _multiple_of, "pattern": _pattern})
    return changed(loaded, registry=referencing.Registry[Any]())  # an empty one fetches nothing


def _multiple_of(_: Validator, step: float, value: object, __: object) -> Iterator[ValidationError]:
    """Exactly: in binary fractions 0.3 is no multiple of 0.1."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    if Decimal(repr(value)) % abs(Decimal(repr(step))):
        yield ValidationError(f"{value!r} is not a multiple of {step!r}")


def _pattern(_: Validator, pattern: str, value: object, __: object) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _matches(pattern, value):
        yield ValidationError(f"{value[:100]!r} does not match {pattern!r}")


def _matches(pattern: str, value: str) -> bool:
    """By llguidance, whose time is linear in the text; by Python where only that knows the pattern's syntax.

    What neither can read is not checked.
    """
    if knows("pattern", pattern):
        quoted = json.dumps(well_formed(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        return text_problem(quoted, {"json_schema": {"type": "string", "pattern": pattern}}) is None
    try:
        return re.search(pattern, value) is not None
    except (re.error, RecursionError):
        return True


def _reject_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
