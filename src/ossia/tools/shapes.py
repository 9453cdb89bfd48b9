"""Shapes: a JSON Schema and the way back, one constructor for each kind of value.

A `Shape` pairs the schema the model reads with a `load` that turns a decoded JSON value into the Python
value. Both come from one place, so they cannot disagree.
"""

import json
import types
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from difflib import get_close_matches
from enum import Enum
from typing import Any, cast

Schema = dict[str, Any]
Load = Callable[[Any, str, bool], Any]


class ArgumentSlip(ValueError):  # noqa: N818  (the model's slip, turned into text before anyone sees it)
    """A value that does not fit its hint; the text is for the model."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`load(value, path, strict)` returns the Python value or raises ArgumentSlip naming `path`.

    Lenient loading also accepts what models commonly write instead: "3" for 3, 3.0 for 3, 3 for "3", "true".
    """

    schema: Schema
    load: Load


def type_name(schema: Schema) -> str:
    """A schema in a few words, for error texts."""
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(v, ensure_ascii=False) for v in schema["enum"])
    if "oneOf" in schema:
        return " or ".join(type_name(s) for s in schema["oneOf"])
    kind = schema.get("type", "any value")
    if isinstance(kind, list):
        return " or ".join(cast(list[str], kind))
    if kind == "array" and schema.get("items"):
        return f"array of {type_name(schema['items'])}"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def slip(value: Any, path: str, expected: Schema) -> ArgumentSlip:
    """The error text for a value of the wrong type."""
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return ArgumentSlip(f"{path} must be {type_name(expected)}, not {shown}")


def _scalar(schema: Schema, convert: Callable[[Any, bool], Any]) -> Shape:
    """`convert(value, strict)` returns the value or raises ValueError."""

    def load(value: Any, path: str, strict: bool) -> Any:
        try:
            return convert(value, strict)
        except (ValueError, OverflowError):
            raise slip(value, path, schema) from None

    return Shape(schema, load)


def _as_str(value: Any, strict: bool) -> str:
    if isinstance(value, str):
        return value
    if strict or isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    return json.dumps(value)


def _as_int(value: Any, strict: bool) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if strict or not isinstance(value, str):
        raise ValueError
    return int(value)


def _as_float(value: Any, strict: bool) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if strict or not isinstance(value, str) or not any(c.isdigit() for c in value):
        raise ValueError  # "nan" and "inf" are no JSON numbers
    return float(value)


def _as_bool(value: Any, strict: bool) -> bool:
    if isinstance(value, bool):
        return value
    if strict or value not in ("true", "false", "True", "False"):
        raise ValueError
    return value in ("true", "True")


def _as_none(value: Any, strict: bool) -> None:
    if value is not None and (strict or value not in ("null", "None", "")):
        raise ValueError


def _from_iso(kind: type[date] | type[time]) -> Callable[[Any, bool], Any]:
    def convert(value: Any, strict: bool) -> Any:
        if not isinstance(value, str):
            raise ValueError
        return kind.fromisoformat(value)

    return convert


ANY = Shape({}, lambda value, path, strict: value)
NULL = _scalar({"type": "null"}, _as_none)
SCALARS: dict[Any, Shape] = {
    Any: ANY,
    object: ANY,
    None: NULL,
    types.NoneType: NULL,
    str: _scalar({"type": "string"}, _as_str),
    int: _scalar({"type": "integer"}, _as_int),
    float: _scalar({"type": "number"}, _as_float),
    bool: _scalar({"type": "boolean"}, _as_bool),
    date: _scalar({"type": "string", "format": "date"}, _from_iso(date)),
    datetime: _scalar({"type": "string", "format": "date-time"}, _from_iso(datetime)),
    time: _scalar({"type": "string", "format": "time"}, _from_iso(time)),
}


def _key(value: Any) -> str:
    """Tells 1 from True and "1"."""
    return f"{type(value).__name__}:{value}"


def choice_shape(meant: list[Any]) -> Shape:
    """One of some JSON scalars, or of an Enum's members (written as their values)."""
    written = [o.value if isinstance(o, Enum) else o for o in meant]
    options = {_key(w): o for w, o in zip(written, meant, strict=True)}
    names: dict[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
    kinds = list(dict.fromkeys(names.get(type(w), "null") for w in written))
    schema: Schema = {"type": kinds[0] if len(kinds) == 1 else kinds, "enum": written}

    def load(value: Any, path: str, strict: bool) -> Any:
        if (found := _key(value)) in options:
            return options[found]
        same = [o for w, o in zip(written, options.values(), strict=True) if str(w) == str(value)]
        by_name = [o for o in options.values() if isinstance(o, Enum) and o.name == value]
        if strict or not (same or by_name):
            raise slip(value, path, schema)
        return (same or by_name)[0]

    return Shape(schema, load)


def union_shape(shapes: list[Shape]) -> Shape:
    """Any of these; what fits one exactly goes before what fits another with good will."""
    schemas = [s.schema for s in shapes]
    plain = all(set(s) == {"type"} and isinstance(s["type"], str) for s in schemas)
    plain = plain and not any(s["type"] in ("array", "object") for s in schemas)
    schema: Schema = {"type": [s["type"] for s in schemas]} if plain else {"oneOf": schemas}
    if {} in schemas:
        schema = {}

    def load(value: Any, path: str, strict: bool) -> Any:
        for lenient in (False,) if strict else (False, True):
            for shape in shapes:
                try:
                    return shape.load(value, path, not lenient)
                except ArgumentSlip:
                    continue
        raise slip(value, path, schema)

    return Shape(schema, load)


def list_shape(item: Shape, build: Callable[[list[Any]], Any], *, unique: bool = False) -> Shape:
    """An array of any length, handed to `build`."""
    schema: Schema = {"type": "array", "items": item.schema}
    if unique:
        schema["uniqueItems"] = True

    def load(value: Any, path: str, strict: bool) -> Any:
        if not isinstance(value, list):
            raise slip(value, path, schema)
        items = [item.load(v, f"{path}[{i}]", strict) for i, v in enumerate(cast(list[Any], value))]
        try:
            return build(items)
        except TypeError:  # a set of what cannot be hashed
            raise slip(value, path, schema) from None

    return Shape(schema, load)


def tuple_shape(shapes: list[Shape]) -> Shape:
    """An array of fixed length, each place of its own kind."""
    distinct = [s for i, s in enumerate(shapes) if s.schema not in [t.schema for t in shapes[:i]]]
    items = (distinct[0] if len(distinct) == 1 else union_shape(distinct)).schema
    schema: Schema = {"type": "array", "items": items, "minItems": len(shapes), "maxItems": len(shapes)}
    if len(distinct) > 1:
        schema["prefixItems"] = [s.schema for s in shapes]

    def load(value: Any, path: str, strict: bool) -> Any:
        if not isinstance(value, list) or len(cast(list[Any], value)) != len(shapes):
            raise ArgumentSlip(f"{path} must be an array of {len(shapes)} values")
        pairs = enumerate(zip(shapes, cast(list[Any], value), strict=True))
        return tuple(s.load(v, f"{path}[{i}]", strict) for i, (s, v) in pairs)

    return Shape(schema, load)


def dict_shape(item: Shape) -> Shape:
    """An object with any names, all values of one kind."""
    schema: Schema = {"type": "object", "additionalProperties": item.schema or True}

    def load(value: Any, path: str, strict: bool) -> Any:
        if not isinstance(value, dict):
            raise slip(value, path, schema)
        items = cast(dict[str, Any], value).items()
        return {key: item.load(v, f"{path}.{key}", strict) for key, v in items}

    return Shape(schema, load)


@dataclass(frozen=True, slots=True)
class ObjectField:
    """One named value of an object."""

    name: str
    shape: Shape
    required: bool


def object_shape(fields: list[ObjectField], build: Callable[..., Any]) -> Shape:
    """An object of exactly these fields, handed to `build` as keywords; optional ones only where given."""
    schema: Schema = {"type": "object", "properties": {f.name: f.shape.schema for f in fields}}
    if required := [f.name for f in fields if f.required]:
        schema["required"] = required
    schema["additionalProperties"] = False

    def load(value: Any, path: str, strict: bool) -> Any:
        if not isinstance(value, dict):
            raise slip(value, path, schema)
        given = cast(dict[str, Any], value)
        loaded, problems = _load_fields(fields, given, f"{path}." if path else "", strict)
        if problems:
            raise ArgumentSlip("; ".join(problems))
        try:
            return build(**loaded)
        except (TypeError, ValueError) as cause:  # a dataclass that checks itself
            raise ArgumentSlip(f"{path}: {cause}") from None

    return Shape(schema, load)


def _load_fields(
    fields: list[ObjectField], given: dict[str, Any], prefix: str, strict: bool
) -> tuple[dict[str, Any], list[str]]:
    known = [f.name for f in fields]
    problems = [_unknown_field(name, prefix, known) for name in given if name not in known]
    loaded: dict[str, Any] = {}
    for f in fields:
        if f.name not in given:
            problems += [f"{prefix}{f.name} is missing ({type_name(f.shape.schema)})"] if f.required else []
            continue
        try:
            loaded[f.name] = f.shape.load(given[f.name], prefix + f.name, strict)
        except ArgumentSlip as cause:
            problems.append(str(cause))
    return loaded, problems


def _unknown_field(name: str, prefix: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known) or 'none'}"
    return f"{prefix}{name} is not known ({hint})"
