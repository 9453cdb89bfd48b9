"""Content of messages as the model reads it: text, and where something else stands, a line that says so."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ossia.agent.events import Note
from ossia.harmony.formats.fields import NOT_SHOWN, wrong

_TEXTS = ("text", "refusal", "transcript")


class ContentReader:
    """Reads content in the shape of either API, parts of any type; `notes` name what the model cannot see."""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def text(self, value: object, where: str) -> str | None:
        """Content as text: text itself, or a list of parts, joined by line ends; None for None.

        Raises InputError for what is neither.
        """
        if value is None:
            return None
        if isinstance(value, str):
            return well_formed(value, where)
        if isinstance(value, Mapping):
            return self._part(cast(object, value), where)
        if not isinstance(value, Sequence) or isinstance(value, bytes):
            limit = "text, or a list of parts"
            raise wrong(where, f"content is {type(value).__name__}", value, limit, "Give it as text.")
        parts = cast(Sequence[object], value)
        return "\n".join(self._part(part, f"{where}[{at}]") for at, part in enumerate(parts))

    def _part(self, value: object, where: str) -> str:
        if isinstance(value, str):
            return well_formed(value, where)
        if not isinstance(value, Mapping):
            raise wrong(where, f"a part that is {type(value).__name__}", value, "text, or an object")
        part = cast(Mapping[str, Any], value)
        kind = part.get("type")
        shown = NOT_SHOWN.get(kind) if isinstance(kind, str) else None
        if shown is None:
            for key in _TEXTS:
                if isinstance(part.get(key), str):
                    return well_formed(part[key], where)
            shown = kind if isinstance(kind, str) and kind.isidentifier() else "part"
        self.notes.append(
            Note("not-shown", f"{where}: the model reads text only, and is told of the {shown}")
        )
        return placeholder(shown)


def placeholder(what: str) -> str:
    """What stands in the place of an image, a file or the like."""
    return f"[{what} not shown: this model reads text only]"


def well_formed(text: str, where: str) -> str:
    """Return `text`; raises InputError for half a surrogate pair, which no encoding can carry."""
    try:
        text.encode()
    except UnicodeEncodeError as cause:
        remedy = "Escape characters beyond U+FFFF as pairs."
        raise wrong(
            where, "text with a lone surrogate", text[cause.start : cause.end], "Unicode", remedy
        ) from None
    return text
