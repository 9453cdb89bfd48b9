"""Looking into a JSON Schema that may be anything, and JSON as the reference prints it.

Knows neither of the two renderings.
"""

import json
from decimal import Decimal
from typing import Any, cast

ABSENT = object()


def get(schema: Any, key: str) -> Any:
    """The value at `key`, or `ABSENT` (null is a value; what is no object has no keys)."""
    return cast(dict[str, Any], schema).get(key, ABSENT) if isinstance(schema, dict) else ABSENT


def string_at(schema: Any, key: str) -> str | None:
    value = get(schema, key)
    return value if isinstance(value, str) else None


def list_at(schema: Any, key: str) -> list[Any] | None:
    value = get(schema, key)
    return cast(list[Any], value) if isinstance(value, list) else None


def lines(text: str) -> list[str]:
    """Lines as Rust's `str::lines`: ended by \\n or \\r\\n only, no empty last one."""
    *ended, last = text.split("\n")
    return [line.removesuffix("\r") for line in ended] + ([last] if last else [])


def compact(value: Any) -> str:
    """JSON as serde_json prints it: no spaces, non-ASCII as it is, floats in ryu's form."""
    if isinstance(value, dict):
        items = cast(dict[str, Any], value).items()
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{compact(v)}" for k, v in items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, cast(list[Any], value))) + "]"
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
