"""Tools as the model sees them: JSON Schema written as a TypeScript-like namespace.

Equal, character for character, to what openai-harmony 0.0.8 writes (its quirks included: the model
was trained on them). What it does not know (`anyOf`, `$ref`, `const` …) reads as ``any`` there and here.
"""

import json
from decimal import Decimal
from itertools import pairwise
from typing import Any, cast

from ossia.errors import ToolDefinitionError
from ossia.harmony.messages import ToolNamespace, ToolSpec

_MAX_DEPTH = 64
_ABSENT = object()


def render_namespace(ns: ToolNamespace) -> str:
    """Return the section of one namespace: heading, description, and its functions if it has any.

    Raises ToolDefinitionError for parameters that are not JSON or are nested deeper than 64 levels.
    """
    lines = [f"## {ns.name}\n"]
    comment = "// " if ns.tools else ""
    lines += [comment + line for line in _lines(ns.description)]
    if ns.tools:
        lines.append(f"namespace {ns.name} {{\n")
        for tool in ns.tools:
            lines += _function(tool)
        lines.append(f"}} // namespace {ns.name}")
    return "\n".join(lines)


def render_tools(namespaces: tuple[ToolNamespace, ...]) -> str:
    """Return the whole ``# Tools`` section, namespaces in the order of their names.

    Raises ToolDefinitionError when two namespaces have one name.
    """
    ordered = sorted(namespaces, key=lambda ns: ns.name)
    for first, second in pairwise(ordered):
        if first.name == second.name:
            raise ToolDefinitionError(
                f"two namespaces are called {first.name!r}",
                value=first.name,
                remedy="Put their tools into one namespace.",
            )
    return "\n\n".join(["# Tools", *map(render_namespace, ordered)])


def _function(tool: ToolSpec) -> list[str]:
    lines = [f"// {line}" for line in _lines(tool.description)]
    if tool.parameters is None:
        return [*lines, f"type {tool.name} = () => any;\n"]
    return [*lines, f"type {tool.name} = (_: {_type(_as_json(tool), '')}) => any;\n"]


def _as_json(tool: ToolSpec) -> Any:
    """The parameters as plain JSON values, so that what cannot be sent cannot be rendered either."""
    try:
        schema = json.loads(json.dumps(tool.parameters, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as cause:
        raise ToolDefinitionError(
            f"the parameters of tool {tool.name!r} are not JSON: {cause}",
            value=tool.name,
            remedy="Give a JSON Schema made of objects, lists, strings, numbers, booleans and null.",
        ) from cause
    if _depth(schema) > _MAX_DEPTH:
        raise ToolDefinitionError(
            f"the parameters of tool {tool.name!r} are nested too deeply",
            value=_depth(schema),
            limit=_MAX_DEPTH,
            remedy="Flatten the schema.",
        )
    return schema


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        level = [inner for v in level for inner in _inside(v)]
        depth += 1
    return depth


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(cast(dict[str, Any], value).values())
    return cast(list[Any], value) if isinstance(value, list) else []


def _type(schema: Any, indent: str) -> str:
    """The type of one schema; `indent` is where its continuation lines begin."""
    if (variants := _list(schema, "oneOf")) is not None:
        return "".join(_top_level_variant(variant, indent) for variant in variants)
    if names := [name for name in _list(schema, "type") or [] if isinstance(name, str)]:
        return " | ".join("number" if name == "integer" else name for name in names)
    match _get(schema, "type"):
        case "object":
            return _object(schema, indent)
        case "string":
            values = [f'"{v}"' for v in _list(schema, "enum") or [] if isinstance(v, str)]
            return " | ".join(values) or "string"
        case "number" | "integer":
            return "number"
        case "boolean":
            return "boolean"
        case "array":
            items = _get(schema, "items")
            return "Array<any>" if items is _ABSENT else f"{_type(items, indent)}[]"
        case _:
            return "any"


def _object(schema: Any, indent: str) -> str:
    description = _string(schema, "description")
    out = [] if description is None else [f"{indent}// {description}\n"]
    out.append("{\n")
    properties = _get(schema, "properties")
    if isinstance(properties, dict):
        required = {name for name in _list(schema, "required") or [] if isinstance(name, str)}
        for name, prop in cast(dict[str, Any], properties).items():
            out += _property(name if name in required else f"{name}?", prop, indent)
    return "".join([*out, f"{indent}}}"])


def _property(name: str, prop: Any, indent: str) -> list[str]:
    out: list[str] = []
    description = _string(prop, "description")
    if (title := _string(prop, "title")) is not None:
        out.append(f"{indent}// {title}\n{indent}//\n")
    if description is not None and _get(prop, "oneOf") is _ABSENT:
        out.append(f"{indent}// {description}\n")
    if examples := _list(prop, "examples"):
        out.append(f"{indent}// Examples:\n")
        out += [f'{indent}// - "{example}"\n' for example in examples if isinstance(example, str)]
    variants = _list(prop, "oneOf")
    if variants is not None:
        return [*out, *_one_of_property(name, prop, variants, indent)]
    line = f"{indent}{name}: {_nullable(prop, indent + '    ')},"
    default = _default(prop) if _get(prop, "oneOf") is _ABSENT else None
    return [*out, line, "\n" if default is None else f" // {default}\n"]


def _one_of_property(name: str, prop: Any, variants: list[Any], indent: str) -> list[str]:
    """A property with alternatives: its description above, one alternative a line."""
    description = _string(prop, "description")
    above = description is not None and not (variants and description == _string(variants[0], "description"))
    out = [f"{indent}// {description}\n"] if above else []
    if (default := _default(prop)) is not None:
        out.append(f"{indent}// {default}\n")
    out.append(f"{indent}{name}:\n")
    for i, variant in enumerate(variants):
        own = None if i == 0 and above else _string(variant, "description")
        comments = [own if own != description else None, _default(variant)]
        out.append(f"{indent} | {_nullable(variant, indent + '   ')}{_trailing(comments)}\n")
    return [*out, f"{indent},\n"]


def _top_level_variant(variant: Any, indent: str) -> str:
    # Here, unlike in properties, the reference writes an enum's default as JSON.
    comments = [_string(variant, "description"), _default(variant, enum_as_json=True)]
    return f"\n{indent} | {_nullable(variant, indent + '   ')}{_trailing(comments)}"


def _trailing(comments: list[str | None]) -> str:
    present = [comment for comment in comments if comment is not None]
    return f" // {' '.join(present)}" if present else ""


def _nullable(schema: Any, indent: str) -> str:
    text = _type(schema, indent)
    return f"{text} | null" if _get(schema, "nullable") is True and "null" not in text else text


def _default(schema: Any, *, enum_as_json: bool = False) -> str | None:
    value = _get(schema, "default")
    if value is _ABSENT:
        return None
    if not isinstance(value, str):
        return f"default: {_compact(value)}"
    if not _list(schema, "enum"):
        return f'default: "{value}"'
    return f"default: {_compact(value) if enum_as_json else value}"


def _get(schema: Any, key: str) -> Any:
    """The value at `key`, or `_ABSENT` (null is a value; what is no object has no keys)."""
    return cast(dict[str, Any], schema).get(key, _ABSENT) if isinstance(schema, dict) else _ABSENT


def _string(schema: Any, key: str) -> str | None:
    value = _get(schema, key)
    return value if isinstance(value, str) else None


def _list(schema: Any, key: str) -> list[Any] | None:
    value = _get(schema, key)
    return cast(list[Any], value) if isinstance(value, list) else None


def _lines(text: str) -> list[str]:
    """Lines as Rust's `str::lines`: ended by \\n or \\r\\n only, no empty last one."""
    *ended, last = text.split("\n")
    return [line.removesuffix("\r") for line in ended] + ([last] if last else [])


def _compact(value: Any) -> str:
    """JSON as serde_json prints it: no spaces, non-ASCII as it is, floats in ryu's form."""
    if isinstance(value, dict):
        items = cast(dict[str, Any], value).items()
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{_compact(v)}" for k, v in items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_compact, cast(list[Any], value))) + "]"
    if isinstance(value, float) or (type(value) is int and not -(2**63) <= value < 2**64):
        return _float(float(value))
    return json.dumps(value, ensure_ascii=False)


def _float(value: float) -> str:
    """The shortest digits that read back as `value`, laid out as ryu does (source: ryu's pretty format)."""
    sign, digit_tuple, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int), "JSON has no infinities"
    digits = "".join(map(str, digit_tuple)).rstrip("0") or "0"
    exponent += len(digit_tuple) - len(digits)
    point = len(digits) + exponent  # where the decimal point stands among the digits
    if digits == "0":
        text = "0.0"
    elif exponent >= 0 and point <= 16:
        text = f"{digits}{'0' * exponent}.0"
    elif 0 < point <= 16:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -5 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
        text = f"{mantissa}e{point - 1}"
    return f"-{text}" if sign else text
