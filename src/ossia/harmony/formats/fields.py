"""JSON values of the wrong shape, said so that their author finds them; and content made of parts.

Types are checked strictly, unknown fields ignored, and null counts as absent: data sets pad with it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ossia.errors import InputError
from ossia.harmony.header import check_header
from ossia.harmony.messages import Effort, Message

# The names clients use for the three efforts the model knows.
EFFORT_NAMES: Mapping[str, Effort] = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_TEXT_PARTS = ("text", "input_text", "output_text", "refusal", "reasoning_text", "summary_text")
NOT_SHOWN: Mapping[str, str] = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "audio": "audio",
    "input_audio": "audio",
    "file": "file",
    "input_file": "file",
    "video": "video",
    "video_url": "video",
}


def wrong(where: str, what: str, value: object, limit: object, remedy: str = "") -> InputError:
    """The error for `value`, found at `where`."""
    return InputError(f"{where}: {what}", value=value, limit=limit, remedy=remedy, param=where)


def as_object(value: object, where: str) -> Mapping[str, Any]:
    """`value` as a JSON object; raises InputError."""
    if isinstance(value, Mapping):
        return cast(Mapping[str, Any], value)
    raise wrong(where, f"{_kind(value)} where an object should be", value, "an object")


def as_list(value: object, where: str) -> Sequence[Any]:
    """`value` as a list, empty for None; raises InputError."""
    if value is None:
        return ()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return cast(Sequence[Any], value)
    raise wrong(where, f"{_kind(value)} where a list should be", value, "a list")


def text_of(fields: Mapping[str, Any], key: str, where: str) -> str | None:
    """The text at `key`, or None; raises InputError for anything else."""
    value = fields.get(key)
    if value is None or isinstance(value, str):
        return value
    raise wrong(where, f"{key} is {_kind(value)}", value, "text")


def needed(fields: Mapping[str, Any], key: str, where: str) -> str:
    """The text at `key`; raises InputError where there is none."""
    if (text := text_of(fields, key, where)) is None:
        raise wrong(where, f"{key} is missing", None, "text", f"Give {key}.")
    return text


def flag_of(fields: Mapping[str, Any], key: str, where: str) -> bool:
    """The truth value at `key`, False where there is none; raises InputError for anything else."""
    value = fields.get(key)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise wrong(where, f"{key} is {_kind(value)}", value, "true or false")


def number_of(fields: Mapping[str, Any], key: str, where: str) -> float | None:
    """The number at `key`, None where there is none; raises InputError for anything else."""
    value = fields.get(key)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise wrong(where, f"{key} is {_kind(value)}", value, "a number")


def whole_of(fields: Mapping[str, Any], key: str, where: str) -> int | None:
    """The whole number at `key` (3.0 is one), None where there is none; raises InputError for others."""
    value = number_of(fields, key, where)
    if value is None or value == value // 1:
        return None if value is None else int(value)
    raise wrong(where, f"{key} is {value!r}", value, "a whole number")


def content_of(value: object, where: str) -> str | None:
    """Content as text: text itself, or a list of parts, joined by line ends; None where there is none.

    What is no text is named in its place, since the model reads nothing else. Raises InputError for a part
    of an unknown type.
    """
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        raise wrong(where, f"content is {_kind(value)}", value, "text, or a list of parts")
    parts = cast(Sequence[object], value)
    return "\n".join(_part(part, f"{where}.content[{at}]") for at, part in enumerate(parts))


def _part(value: object, where: str) -> str:
    if isinstance(value, str):
        return value
    part = as_object(value, where)
    kind = part.get("type")
    if kind in _TEXT_PARTS:
        return needed(part, "refusal" if kind == "refusal" else "text", where)
    if isinstance(kind, str) and kind in NOT_SHOWN:
        return f"[{NOT_SHOWN[kind]} not shown: this model reads text only]"
    known = (*_TEXT_PARTS, *NOT_SHOWN)
    raise wrong(where, f"a part of type {kind!r}", kind, known, "Give it as text.")


def effort_of(value: object, where: str) -> Effort | None:
    """The model's effort for any name in use, None for None; raises InputError for another."""
    if value is None:
        return None
    name = value.strip().lower() if isinstance(value, str) else ""
    if effort := EFFORT_NAMES.get(name):
        return effort
    raise wrong(where, f"unknown effort {value!r}", value, tuple(EFFORT_NAMES), "Choose low, medium or high.")


def checked(message: Message, where: str) -> Message:
    """`message`, if its header can be written; raises InputError otherwise."""
    try:
        check_header(message)
    except InputError as error:
        raise wrong(where, error.message, error.value, error.limit, error.remedy) from None
    return message


def _kind(value: object) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "a truth value"}
    if value is None:
        return "null"
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)
