"""Durations as people write them: 30s, 5m, 1h30m, 0, -1."""

import re

FOREVER_S = -1.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)", re.ASCII)


def parse_duration(text: str) -> float | None:
    """Seconds; a plain number is seconds too, anything below 0 is for ever (-1). None where it is none.

    >>> parse_duration("1h30m"), parse_duration("45"), parse_duration("-1m"), parse_duration("soon")
    (5400.0, 45.0, -1.0, None)
    """
    bare = text.strip()
    if bare.startswith("-"):
        return None if parse_duration(bare[1:]) is None or bare.startswith("--") else FOREVER_S
    if re.fullmatch(r"\d+(?:\.\d+)?", bare, re.ASCII):
        return float(bare)
    parts = _PART.findall(bare)
    if not parts or "".join(number + unit for number, unit in parts) != bare:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
