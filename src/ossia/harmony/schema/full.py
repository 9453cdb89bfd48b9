"""JSON Schema as the TypeScript it means, in the reference's layout.

Where the reference writes a type that is right, this writes the same characters, so that a model sees
nothing new; where it writes ``any``, drops a part or breaks the syntax, this says what the schema says.
What TypeScript has no type for (`minimum`, `pattern`, `format`, `not`, `if`) stays unsaid, as there.
"""

from typing import Any, cast

from ossia.harmony.schema.reading import ABSENT, get, list_at, string_at
from ossia.harmony.schema.references import TypeNames, meaning, merged, resolve, wanted_name
from ossia.harmony.schema.writing import (
    ANY,
    NEVER,
    NULL,
    TsType,
    array,
    closed,
    comment,
    comment_lines,
    inline,
    intersection,
    literal,
    operand,
    or_null,
    property_name,
    trailing,
    union,
)

_OBJECT_KEYS = ("properties", "additionalProperties", "patternProperties")
_ARRAY_KEYS = ("items", "prefixItems")
_JSON_TYPES = {
    str: ("string",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number", "integer"),
    type(None): ("null",),
    list: ("array",),
    dict: ("object",),
}


def full_type(schema: Any, tool: str, names: TypeNames) -> tuple[str, list[str]]:
    """Return the type of a tool's parameters, and the declarations of the types it names.

    `schema`: plain JSON values. `names`: those of the namespace; what is declared there already is not
    declared again.
    """
    return _Writer(schema, tool, names).parameters()


class _Writer:
    """Writes one tool's types; `indent` is where a type's continuation lines begin."""

    def __init__(self, root: Any, tool: str, names: TypeNames) -> None:
        self._root, self._tool, self._names = root, tool, names
        self._name_of: dict[str, str] = {}
        self._undeclared: list[tuple[str, dict[str, Any]]] = []

    def parameters(self) -> tuple[str, list[str]]:
        text = closed(self._element(self._root, ""), "")
        declarations: list[str] = []
        while self._undeclared:
            declarations.append(self._declaration(*self._undeclared.pop(0)))
        # A schema that refers to the whole of itself has a name by now: use it.
        return self._name_of.get("#", text), declarations

    def _type(self, schema: Any, indent: str) -> TsType:
        if not isinstance(schema, dict):
            return NEVER if schema is False else ANY
        plain = merged(cast(dict[str, Any], schema))
        own = _is_structured(plain)
        parts = [self._reference(plain["$ref"])] if string_at(plain, "$ref") is not None else []
        parts += [self._plain(plain, indent)] if own else []
        parts += [self._alternatives(key, plain, indent) for key in ("oneOf", "anyOf") if list_at(plain, key)]
        parts += [self._type(branch, indent) for branch in list_at(plain, "allOf") or []]
        telling = [part for part in parts if not part.is_any]
        written = intersection(telling, indent) if telling else (parts[0] if parts else ANY)
        if not own and not telling and "type" in plain:
            written = self._plain(plain, indent)
        return or_null(written, indent) if plain.get("nullable") is True else written

    def _element(self, schema: Any, indent: str) -> TsType:
        """The type where the reference does not look for `nullable`, and is right when that is ``any``."""
        ts = self._type(schema, indent)
        return ANY if ts.text == "any | null" else ts

    def _plain(self, schema: dict[str, Any], indent: str) -> TsType:
        """The type that `schema` has without what it refers to or combines."""
        if values := _values(schema):
            texts = [literal(value) for value in values]
            return TsType(" | ".join(texts), "union" if len(texts) > 1 else "atom", None in values)
        if listed := [name for name in list_at(schema, "type") or [] if isinstance(name, str)]:
            of_name = {name: self._of_type(name, schema, indent, listed=True) for name in set(listed)}
            return union([of_name[name] for name in listed], indent)
        return self._of_type(_type_of(schema), schema, indent)

    def _of_type(self, name: str, schema: dict[str, Any], indent: str, *, listed: bool = False) -> TsType:
        match name:
            case "object":
                bare = listed and not any(key in schema for key in _OBJECT_KEYS)
                return TsType("object") if bare else self._object(schema, indent)
            case "array":
                return self._array(schema, indent)
            case "integer":
                return TsType("number")
            case "string" | "number" | "boolean":
                return TsType(name)
            case "null":
                return NULL
            case _:
                return ANY

    def _array(self, schema: dict[str, Any], indent: str) -> TsType:
        items = get(schema, "items")
        if first := list_at(schema, "prefixItems") or list_at(schema, "items"):
            return self._tuple(schema, first, indent)
        return TsType("Array<any>") if items is ABSENT else array(self._element(items, indent), indent)

    def _tuple(self, schema: dict[str, Any], first: list[Any], indent: str) -> TsType:
        """A tuple is as long as its listed items, unless the schema speaks of fewer or more."""
        least = schema.get("minItems", len(first))
        rest = schema.get("items" if "prefixItems" in schema else "additionalItems", False)
        items: list[str] = []
        for i, item in enumerate(first):
            ts = self._type(item, indent)
            may_lack = type(least) is int and i >= least
            items.append(f"{operand(ts, indent)}?" if may_lack else inline(ts, indent))
        if rest is not False and schema.get("maxItems") != len(first):
            items.append(f"...{inline(array(self._element(rest, indent), indent), indent)}")
        return TsType(f"[{', '.join(items)}]")

    def _object(self, schema: dict[str, Any], indent: str) -> TsType:
        properties: Any = schema.get("properties")
        required = [name for name in list_at(schema, "required") or [] if isinstance(name, str)]
        fields = cast(dict[str, Any], properties) if isinstance(properties, dict) else {}
        fields = fields | {name: True for name in required if name not in fields}
        others = self._other_properties(schema, indent)
        if others is not None and not fields:
            return others
        description = string_at(schema, "description")
        out = [] if description is None else [comment(description, indent)]
        out.append("{\n")
        for name, prop in fields.items():
            key = property_name(name)
            out += self._property(key if name in required else f"{key}?", prop, indent)
        written = TsType("".join([*out, f"{indent}}}"]))
        return written if others is None else intersection([written, others], indent)

    def _other_properties(self, schema: dict[str, Any], indent: str) -> TsType | None:
        """``Record`` for the properties that have a type but no name; None where there are none."""
        patterns: Any = schema.get("patternProperties")
        schemas = [*cast(dict[str, Any], patterns).values()] if isinstance(patterns, dict) else []
        if isinstance(schema.get("additionalProperties"), dict):
            schemas.append(schema["additionalProperties"])
        types = [ts for ts in (self._type(inner, indent) for inner in schemas) if ts != ANY]
        if not types:
            return None
        values = inline(union(types, indent), indent)
        names = self._names_of_properties(schema.get("propertyNames"), indent)
        return TsType(f"Record<string, {values}>" if names is None else f"Partial<Record<{names}, {values}>>")

    def _names_of_properties(self, schema: Any, indent: str) -> str | None:
        """The type of the only names there may be; None where they are not listed."""
        pointer = string_at(schema, "$ref")
        listed = schema if pointer is None else resolve(pointer, self._root)[1]
        values = list_at(listed, "enum")
        if not values or not all(isinstance(value, str) for value in values):
            return None
        return inline(self._type(schema, indent), indent)

    def _property(self, name: str, prop: Any, indent: str) -> list[str]:
        out: list[str] = []
        description = string_at(prop, "description")
        block = _block_of(prop)
        if (title := string_at(prop, "title")) is not None:
            out.append(comment(title, indent) + f"{indent}//\n")
        if description is not None and not block:
            out.append(comment(description, indent))
        if examples := list_at(prop, "examples"):
            out.append(f"{indent}// Examples:\n")
            out += [f"{indent}// - {literal(example)}\n" for example in examples]
        if block:
            return [*out, *self._block_property(name, prop, block, indent)]
        inner = indent + "    "
        line = f"{indent}{name}: {closed(self._type(prop, inner), inner)},"
        return [*out, line, trailing([_default(prop)], inner), "\n"]

    def _block_property(self, name: str, prop: Any, variants: list[Any], indent: str) -> list[str]:
        """A property with alternatives: its description above, one alternative a line."""
        description = string_at(prop, "description")
        above = description is not None and description != string_at(variants[0], "description")
        out = [comment(description, indent)] if above and description is not None else []
        if (default := _default(prop)) is not None:
            out.append(comment(default, indent))
        out.append(f"{indent}{name}:\n")
        has_null = False
        for i, variant in enumerate(variants):
            own = None if i == 0 and above else _said_of(variant)
            ts = self._type(_typed(variant, prop), indent + "   ")
            has_null = has_null or ts.has_null
            said = trailing([own if own != description else None, _default(variant)], indent + "   ")
            out.append(f"{indent} | {inline(ts, indent + '   ')}{said}\n")
        if get(prop, "nullable") is True and not has_null:
            out.append(f"{indent} | null\n")
        return [*out, f"{indent},\n"]

    def _alternatives(self, key: str, schema: dict[str, Any], indent: str) -> TsType:
        """A union that is no property's own; one alternative a line for oneOf, or to have comments."""
        variants = cast(list[Any], schema[key])
        if key == "anyOf" and not any(_has_comment(variant) for variant in variants):
            return union([self._type(_typed(variant, schema), indent) for variant in variants], indent)
        inner = indent + "   "
        types = [self._type(_typed(variant, schema), inner) for variant in variants]
        # Here, unlike in properties, the reference writes an enum's default as JSON.
        said = [trailing([_said_of(v), _default(v, enum_as_json=True)], inner) for v in variants]
        lines = [f"\n{indent} | {inline(ts, inner)}{c}" for ts, c in zip(types, said, strict=True)]
        return TsType(
            "".join(lines),
            "block",
            has_null=any(ts.has_null for ts in types),
            is_any=any(ts.is_any for ts in types),
            is_open=bool(said[-1]),
            alone=len(types) == 1 and types[0].kind == "atom" and not said[-1],
        )

    def _reference(self, pointer: str) -> TsType:
        """The name of what `pointer` points to, declared before the tool if it is new to the namespace."""
        target, schema = resolve(pointer, self._root)
        if not isinstance(schema, dict):
            return NEVER if schema is False else ANY
        if target not in self._name_of:
            wanted = wanted_name(target, self._tool)
            name, is_new = self._names.claim(wanted, meaning(target, self._root, self._tool))
            self._name_of[target] = name
            if is_new:
                self._undeclared.append((name, cast(dict[str, Any], schema)))
        return TsType(self._name_of[target])

    def _declaration(self, name: str, schema: dict[str, Any]) -> str:
        ts = self._type({key: value for key, value in schema.items() if key != "description"}, "")
        description = string_at(schema, "description")
        above = "" if description is None else comment(description, "")
        return f"{above}type {name} = {closed(ts, '')};\n"


def _is_structured(schema: dict[str, Any]) -> bool:
    """Whether `schema` says more of its own than a bare type that what it combines says too."""
    combines = any(list_at(schema, key) for key in ("oneOf", "anyOf", "allOf")) or "$ref" in schema
    says = any(key in schema for key in (*_OBJECT_KEYS, *_ARRAY_KEYS, "enum", "const"))
    return not combines or says or bool(list_at(schema, "required"))


def _type_of(schema: dict[str, Any]) -> str:
    """The name of the type, or what the keywords imply."""
    if isinstance(name := schema.get("type"), str):
        return name
    if any(key in schema for key in _OBJECT_KEYS) or list_at(schema, "required"):
        return "object"
    return "array" if any(key in schema for key in _ARRAY_KEYS) else "any"


def _values(schema: dict[str, Any]) -> list[Any]:
    """The only values that `const` and `enum` allow, as far as they are of the schema's type."""
    values = [schema["const"]] if "const" in schema else list_at(schema, "enum") or []
    named: Any = schema.get("type")
    allowed = [named] if isinstance(named, str) else list_at(schema, "type")
    return [
        v for v in values if not allowed or any(name in allowed for name in _JSON_TYPES[type(v)])
    ] or values


def _typed(variant: Any, outer: Any) -> Any:
    """`variant` with the type that its alternatives share, where it has none of its own."""
    shared = get(outer, "type")
    if shared is ABSENT or not isinstance(variant, dict):
        return variant
    given = cast(dict[str, Any], variant)
    return given if {"type", "$ref", "enum", "const"} & set(given) else {"type": shared, **given}


def _block_of(prop: Any) -> list[Any]:
    """The alternatives of a property that is nothing else, where they stand one a line; else none."""
    if not isinstance(prop, dict):
        return []
    schema = cast(dict[str, Any], prop)
    if _is_structured(schema) or "$ref" in schema or "allOf" in schema:
        return []
    one, some = list_at(schema, "oneOf") or [], list_at(schema, "anyOf") or []
    if one and some:
        return []
    return one or (some if any(_has_comment(variant) for variant in some) else [])


def _has_comment(variant: Any) -> bool:
    return _said_of(variant) is not None or _default(variant) is not None


def _said_of(variant: Any) -> str | None:
    """A variant's description; for a constant its title does."""
    description = string_at(variant, "description")
    if description is None and get(variant, "const") is not ABSENT:
        return string_at(variant, "title")
    return description


def _default(schema: Any, *, enum_as_json: bool = False) -> str | None:
    value = get(schema, "default")
    if value is ABSENT:
        return None
    if isinstance(value, str) and list_at(schema, "enum") and not enum_as_json:
        return f"default: {value}" if comment_lines(value) == [value] else f"default: {literal(value)}"
    return f"default: {literal(value)}"
