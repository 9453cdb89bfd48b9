"""Python type hints as shapes: what a function's signature promises, compiled once."""

import dataclasses
import types
from collections import abc
from enum import Enum
from typing import (
    Annotated,
    Any,
    Literal,
    NewType,
    NotRequired,
    Required,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from ossia.errors import ToolDefinitionError
from ossia.tools.shapes import (
    SCALARS,
    ObjectField,
    Shape,
    choice_shape,
    dict_shape,
    list_shape,
    object_shape,
    tuple_shape,
    union_shape,
)

KNOWN_HINTS = (
    "str, int, float, bool, None, Any, list, tuple, set, dict[str, T], Literal, Enum, Optional, Union, "
    "dataclasses, TypedDict, date, datetime, time, and Annotated[T, 'description'] of these"
)
_LISTS = (list, abc.Sequence, abc.Iterable, abc.Collection, abc.MutableSequence)
_SETS = (set, frozenset, abc.Set, abc.MutableSet)
_DICTS = (dict, abc.Mapping, abc.MutableMapping)


def shape_of(hint: Any, where: str, inside: tuple[Any, ...] = ()) -> Shape:
    """Compile `hint`; `where` names it in the ToolDefinitionError raised for what JSON cannot carry."""
    if isinstance(hint, NewType):
        return shape_of(hint.__supertype__, where, inside)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(shape_of(args[0], where, inside), args[1:])
    if origin in (Required, NotRequired):
        return shape_of(args[0], where, inside)
    if origin is Literal:
        return _choice(list(args), where)
    if origin in (Union, types.UnionType):
        return union_shape([shape_of(arg, where, inside) for arg in args])
    if origin is None and (hint in (None, Any) or isinstance(hint, type)) and hint in SCALARS:
        return SCALARS[hint]
    return _container(origin or hint, args, where, inside)


def _container(kind: Any, args: tuple[Any, ...], where: str, inside: tuple[Any, ...]) -> Shape:
    if kind in _LISTS:
        return list_shape(shape_of(args[0] if args else Any, where, inside), list)
    if kind in _SETS:
        build = frozenset[Any] if kind is frozenset else set[Any]
        return list_shape(shape_of(args[0] if args else Any, where, inside), build, unique=True)
    if kind is tuple:
        if not args or (len(args) == 2 and args[1] is Ellipsis):
            return list_shape(shape_of(args[0] if args else Any, where, inside), tuple)
        return tuple_shape([shape_of(arg, where, inside) for arg in args])
    if kind in _DICTS:
        if args and args[0] is not str:
            raise _unknown(f"a dictionary with keys of type {args[0]!r}", where)
        return dict_shape(shape_of(args[1] if args else Any, where, inside))
    if isinstance(kind, type) and not args:
        return _class(cast(type[Any], kind), where, inside)
    raise _unknown(kind, where)


def _annotated(shape: Shape, notes: tuple[Any, ...]) -> Shape:
    return described(shape, " ".join(note for note in notes if isinstance(note, str)))


def described(shape: Shape, text: str) -> Shape:
    """`shape` with a description; one that it has already stays, being nearer to it."""
    return Shape({"description": text, **shape.schema}, shape.load) if text else shape


def _choice(meant: list[Any], where: str) -> Shape:
    written = [o.value if isinstance(o, Enum) else o for o in meant]
    if not written or not all(isinstance(w, str | int | float | None) for w in written):
        raise _unknown(f"a choice of {written}", where)
    return choice_shape(meant)


def _class(cls: type[Any], where: str, inside: tuple[Any, ...]) -> Shape:
    if cls in inside:
        raise _unknown(f"{cls.__name__}, which contains itself,", where)
    if issubclass(cls, Enum):
        return _choice(list(cls), where)
    inside = (*inside, cls)
    if is_typeddict(cls):
        required = cast(frozenset[str], cls.__required_keys__)
        hints = _hints(cls, where)
        return object_shape(
            [ObjectField(n, shape_of(h, where, inside), n in required) for n, h in hints.items()], dict
        )
    if dataclasses.is_dataclass(cls):
        hints = _hints(cls, where)
        fields = [f for f in dataclasses.fields(cls) if f.init]
        return object_shape([_field(f, shape_of(hints[f.name], where, inside)) for f in fields], cls)
    raise _unknown(cls, where)


def _field(f: "dataclasses.Field[Any]", shape: Shape) -> ObjectField:
    required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    return ObjectField(f.name, with_default(shape, None if required else f.default), required)


def with_default(shape: Shape, default: object) -> Shape:
    """`shape` with a default that JSON can carry; None says nothing beyond "optional"."""
    value = default.value if isinstance(default, Enum) else default
    if value is None or not isinstance(value, str | int | float):
        return shape
    return Shape({**shape.schema, "default": value}, shape.load)


def _hints(cls: type[Any], where: str) -> dict[str, Any]:
    try:
        return get_type_hints(cls, include_extras=True)
    except (NameError, TypeError) as cause:
        raise _unknown(f"{cls.__name__} ({cause})", where) from cause


def _unknown(hint: object, where: str) -> ToolDefinitionError:
    shown = hint.__name__ if isinstance(hint, type) else hint if isinstance(hint, str) else repr(hint)
    return ToolDefinitionError(
        f"{where} has the type {shown}, which cannot be written as JSON",
        value=shown,
        limit=KNOWN_HINTS,
        remedy=f"Use one of: {KNOWN_HINTS}.",
    )
