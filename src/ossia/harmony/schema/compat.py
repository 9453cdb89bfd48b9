"""JSON Schema as openai-harmony 0.0.8 writes it, character for character.

Its quirks included: the model was trained on them. What it does not know (`anyOf`, `$ref`, `const` …) reads
as ``any`` there and here.
"""

from typing import Any, cast

from ossia.harmony.schema.reading import ABSENT, compact, get, list_at, string_at


def compat_type(schema: Any) -> str:
    """Return the type of `schema` (plain JSON values) as the reference writes it."""
    return _type(schema, "")


def _type(schema: Any, indent: str) -> str:
    """The type of one schema; `indent` is where its continuation lines begin."""
    if (variants := list_at(schema, "oneOf")) is not None:
        return "".join(_top_level_variant(variant, indent) for variant in variants)
    if names := [name for name in list_at(schema, "type") or [] if isinstance(name, str)]:
        return " | ".join("number" if name == "integer" else name for name in names)
    match get(schema, "type"):
        case "object":
            return _object(schema, indent)
        case "string":
            values = [f'"{v}"' for v in list_at(schema, "enum") or [] if isinstance(v, str)]
            return " | ".join(values) or "string"
        case "number" | "integer":
            return "number"
        case "boolean":
            return "boolean"
        case "array":
            items = get(schema, "items")
            return "Array<any>" if items is ABSENT else f"{_type(items, indent)}[]"
        case _:
            return "any"


def _object(schema: Any, indent: str) -> str:
    description = string_at(schema, "description")
    out = [] if description is None else [f"{indent}// {description}\n"]
    out.append("{\n")
    properties = get(schema, "properties")
    if isinstance(properties, dict):
        required = {name for name in list_at(schema, "required") or [] if isinstance(name, str)}
        for name, prop in cast(dict[str, Any], properties).items():
            out += _property(name if name in required else f"{name}?", prop, indent)
    return "".join([*out, f"{indent}}}"])


def _property(name: str, prop: Any, indent: str) -> list[str]:
    out: list[str] = []
    description = string_at(prop, "description")
    if (title := string_at(prop, "title")) is not None:
        out.append(f"{indent}// {title}\n{indent}//\n")
    if description is not None and get(prop, "oneOf") is ABSENT:
        out.append(f"{indent}// {description}\n")
    if examples := list_at(prop, "examples"):
        out.append(f"{indent}// Examples:\n")
        out += [f'{indent}// - "{example}"\n' for example in examples if isinstance(example, str)]
    variants = list_at(prop, "oneOf")
    if variants is not None:
        return [*out, *_one_of_property(name, prop, variants, indent)]
    line = f"{indent}{name}: {_nullable(prop, indent + '    ')},"
    default = _default(prop) if get(prop, "oneOf") is ABSENT else None
    return [*out, line, "\n" if default is None else f" // {default}\n"]


def _one_of_property(name: str, prop: Any, variants: list[Any], indent: str) -> list[str]:
    """A property with alternatives: its description above, one alternative a line."""
    description = string_at(prop, "description")
    above = description is not None and not (
        variants and description == string_at(variants[0], "description")
    )
    out = [f"{indent}// {description}\n"] if above else []
    if (default := _default(prop)) is not None:
        out.append(f"{indent}// {default}\n")
    out.append(f"{indent}{name}:\n")
    for i, variant in enumerate(variants):
        own = None if i == 0 and above else string_at(variant, "description")
        comments = [own if own != description else None, _default(variant)]
        out.append(f"{indent} | {_nullable(variant, indent + '   ')}{_trailing(comments)}\n")
    return [*out, f"{indent},\n"]


def _top_level_variant(variant: Any, indent: str) -> str:
    # Here, unlike in properties, the reference writes an enum's default as JSON.
    comments = [string_at(variant, "description"), _default(variant, enum_as_json=True)]
    return f"\n{indent} | {_nullable(variant, indent + '   ')}{_trailing(comments)}"


def _trailing(comments: list[str | None]) -> str:
    present = [comment for comment in comments if comment is not None]
    return f" // {' '.join(present)}" if present else ""


def _nullable(schema: Any, indent: str) -> str:
    text = _type(schema, indent)
    return f"{text} | null" if get(schema, "nullable") is True and "null" not in text else text


def _default(schema: Any, *, enum_as_json: bool = False) -> str | None:
    value = get(schema, "default")
    if value is ABSENT:
        return None
    if not isinstance(value, str):
        return f"default: {compact(value)}"
    if not list_at(schema, "enum"):
        return f'default: "{value}"'
    return f"default: {compact(value) if enum_as_json else value}"
