"""JSON Schema as data to walk through: where its subschemas are, what it says in one form, whether it ends.

Knows nothing of grammars. Paths are JSON pointers ("#/properties/city").
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

Schema = dict[str, Any]

_ONE = ("additionalProperties", "additionalItems", "items", "contains", "propertyNames", "not", "if", "then")
_ONE_TOO = ("else", "unevaluatedItems", "unevaluatedProperties")
_MANY = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_PATTERN_PART = re.compile(r"\\.|\[\^?|.", re.DOTALL)
_OLD_DRAFTS = ("draft-03", "draft-04", "draft-06", "draft-07", "2019-09")


def subschemas(schema: object, path: str = "#") -> Iterator[tuple[str, Schema]]:
    """Every subschema that is an object, itself included, with its path; the outer before the inner."""
    if not isinstance(schema, dict):
        return
    node = cast(Schema, schema)
    yield path, node
    for key in (*_ONE, *_ONE_TOO):
        yield from subschemas(node.get(key), f"{path}/{key}")
    for key in _MANY:
        if isinstance(node.get(key), list):
            for i, inner in enumerate(node[key]):
                yield from subschemas(inner, f"{path}/{key}/{i}")
    for key in _NAMED:
        if isinstance(node.get(key), dict):
            for name, inner in node[key].items():
                yield from subschemas(inner, f"{path}/{key}/{_escaped(name)}")


def normalized(schema: Mapping[str, Any]) -> Schema:
    """A copy in which what other dialects say differently is said as in draft 2020-12.

    ``nullable: true`` (OpenAPI) is a type or a member more; tuples as lists of `items` and boolean exclusive
    bounds are read as meant, unless `$schema` names the draft that has them. Patterns mean the same in
    Python and in Rust.
    """
    root = copy.deepcopy(dict(schema))
    old = any(draft in str(root.get("$schema", "")) for draft in _OLD_DRAFTS)
    for _, node in list(subschemas(root)):
        if node.get("nullable") is True:
            _admit_null(node)
        if not old:
            _modernize(node)
        if isinstance(node.get("pattern"), str):
            node["pattern"] = portable_pattern(node["pattern"])
    return root


def portable_pattern(pattern: str) -> str:
    """`pattern` with what Rust takes for set operations escaped: ``[``, ``&``, ``~``, ``--`` in a class."""
    out: list[str] = []
    inside, first = False, False  # of a class; at its first member
    for part in _PATTERN_PART.findall(pattern):
        doubled = part == "-" and out[-1:] == ["-"]
        if inside and (part in ("[", "&", "~") or doubled or (part == "-" and first)):
            out.append("\\" + part)
        else:
            out.append(part)
        if inside:
            inside, first = part != "]" or first, False
        elif part[0] == "[":
            inside, first = True, True
    return "".join(out)


def _admit_null(node: Schema) -> None:
    del node["nullable"]
    if isinstance(node.get("enum"), list) and None not in node["enum"]:
        node["enum"] = [*node["enum"], None]
    kind = node.get("type")
    if isinstance(kind, str):
        node["type"] = [kind, "null"] if kind != "null" else kind
    elif isinstance(kind, list):
        kinds = cast(list[object], kind)
        node["type"] = kinds if "null" in kinds else [*kinds, "null"]
    elif "$ref" in node:
        node["anyOf"] = [{"$ref": node.pop("$ref")}, {"type": "null"}]
    else:
        for key in ("anyOf", "oneOf"):
            if isinstance(node.get(key), list):
                node[key] = [*node[key], {"type": "null"}]


def _modernize(node: Schema) -> None:
    if isinstance(node.get("items"), list):
        node["prefixItems"] = node.pop("items")
        if "additionalItems" in node:
            node["items"] = node.pop("additionalItems")
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(node.get(exclusive), bool) and node.pop(exclusive) and bound in node:
            node[exclusive] = node.pop(bound)


def cut_endless(root: Schema) -> bool:
    """Make references to what requires itself without end unsatisfiable; False if the whole does.

    Looks at references only; other contradictions are the grammar compiler's to find.
    """
    targets = {node["$ref"] for _, node in subschemas(root) if isinstance(node.get("$ref"), str)}
    ending: set[str] = set()
    while more := {ref for ref in targets - ending if _ends(resolve(root, ref), ending)}:
        ending |= more
    if not _ends(root, ending):
        return False
    for _, node in list(subschemas(root)):
        if node.get("$ref") in targets - ending:
            node.clear()
            node["enum"] = []
    return True


def resolve(root: Schema, ref: str) -> object:
    """What a local reference points at; True for one that cannot be followed here."""
    if ref != "#" and not ref.startswith("#/"):
        return True
    node: object = root
    for part in ref.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and name.isdigit() and int(name) < len(cast(list[object], node)):
            node = cast(list[object], node)[int(name)]
        elif isinstance(node, dict) and name in node:
            node = cast(dict[str, object], node)[name]
        else:
            return True
    return node


def _ends(schema: object, ending: set[str]) -> bool:
    """Can a value of `schema` be written down, if of all references only those in `ending` can?"""
    if not isinstance(schema, dict):
        return schema is not False
    node = cast(Schema, schema)
    if isinstance(node.get("$ref"), str) and node["$ref"] not in ending:
        return False
    if not all(_ends(inner, ending) for inner in _listed(node, "allOf")):
        return False
    for key in ("anyOf", "oneOf"):
        if (options := _listed(node, key)) and not any(_ends(inner, ending) for inner in options):
            return False
    return "const" in node or "enum" in node or _some_type_ends(node, ending)


def _some_type_ends(node: Schema, ending: set[str]) -> bool:
    kinds = node.get("type", "null")
    kinds = cast(list[object], kinds) if isinstance(kinds, list) else [kinds]
    check: dict[object, Callable[[Schema, set[str]], bool]] = {"object": _object_ends, "array": _array_ends}
    return any(check[kind](node, ending) if kind in check else True for kind in kinds)


def _object_ends(node: Schema, ending: set[str]) -> bool:
    properties = node.get("properties")
    named = cast(Schema, properties) if isinstance(properties, dict) else {}
    return all(_ends(named.get(str(name), True), ending) for name in _listed(node, "required"))


def _array_ends(node: Schema, ending: set[str]) -> bool:
    least = node.get("minItems", 0)
    first = _listed(node, "prefixItems")
    rest = node.get("items", True)
    needed = int(least) if isinstance(least, int | float) else 0
    return all(_ends(item, ending) for item in first[:needed]) and (
        needed <= len(first) or _ends(rest, ending)
    )


def _listed(node: Schema, key: str) -> list[object]:
    value = node.get(key)
    return cast(list[object], value) if isinstance(value, list) else []


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
