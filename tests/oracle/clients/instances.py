"""Instances of the SDK's parameter types: for each field, one for every value and union member it may have.

It reads the types alone. `known(owner, key)` may give the values of a field that its type says too little of:
an id must be somebody's, a schema must be one.
"""

import typing
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Union, get_args, get_origin

import typing_extensions
from typing_extensions import is_typeddict

Known = Callable[[str, str], list[Any] | None]
_PLAIN = {str: ["text"], int: [1], float: [0.5], bool: [True, False], object: ["text"], Any: ["text"]}
_QUALIFIERS = (typing.Required, typing.NotRequired, typing.Annotated, typing_extensions.ReadOnly)


class Walk:
    """Yields instances; of a type inside itself, none, and of a field there the first one."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._open: list[Any] = []

    def fields(self, type_: Any) -> dict[str, tuple[Any, bool]]:
        """The keys of a TypedDict: each one's type, and whether it is required."""
        hints = typing_extensions.get_type_hints(type_, include_extras=True)
        return {key: _unqualified(hint, type_.__total__) for key, hint in hints.items()}

    def of_field(self, owner: Any, key: str) -> Iterator[Any]:
        """The values of one key."""
        values = self._known(owner.__name__, key)
        yield from self.of(self.fields(owner)[key][0]) if values is None else values

    def minimal(self, type_: Any) -> dict[str, Any]:
        """What a TypedDict cannot be without."""
        needed = [key for key, (_, required) in self.fields(type_).items() if required]
        return {key: next(islice(self.of_field(type_, key), 1)) for key in needed}

    def of(self, type_: Any) -> Iterator[Any]:
        """Instances of any type."""
        origin, arguments = get_origin(type_), get_args(type_)
        if type_ is type(None):
            yield None
        elif type_ in _PLAIN:
            yield from _PLAIN[type_]
        elif is_typeddict(type_):
            yield from self._of_typed_dict(type_)
        elif origin is typing.Literal or origin is typing_extensions.Literal:
            yield from arguments
        elif origin is Union or origin is type(int | str):
            for member in arguments:
                yield from self.of(member)
        elif origin is dict:
            yield from ({"key": value} for value in self.of(arguments[1]))
        elif len(arguments) == 1:  # a list, an iterable, the SDK's sequence that is no text
            yield from ([value] for value in self.of(arguments[0]))
        else:
            raise AssertionError(f"no instances of {type_!r} are known")

    def _of_typed_dict(self, type_: Any) -> Iterator[dict[str, Any]]:
        if type_ in self._open:
            return
        self._open.append(type_)
        try:
            least = self.minimal(type_)
            yield least
            for key in self.fields(type_):
                for value in self.of_field(type_, key):
                    if key not in least or least[key] != value:
                        yield {**least, key: value}
        finally:
            self._open.pop()


def _unqualified(hint: Any, required: bool) -> tuple[Any, bool]:
    while get_origin(hint) in _QUALIFIERS:
        required = {typing.Required: True, typing.NotRequired: False}.get(get_origin(hint), required)
        hint = get_args(hint)[0]
    return hint, required
