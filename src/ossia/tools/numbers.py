"""Numbers of the calculator: exact while they can be, bounded in size, shown as people write them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

Number = int | Fraction | float

MAX_BITS = 13_000
"""Size of an exact number: about 3,900 digits, below what Python turns into text by default."""
MAX_FACTORIAL = 1_000
_EXACT_DIGITS = 30
_SHOWN_DIGITS = 15
_ZERO = 1e-15  # what is left of sin(π) in double precision is noise, not a result


class ExpressionError(ValueError):
    """An expression without a value; the text says why."""


@dataclass(frozen=True, slots=True)
class Function:
    """A named function of `least` to `most` numbers (None: any number of them)."""

    name: str
    body: Callable[..., Any]
    least: int = 1
    most: int | None = 1

    def call(self, *values: Number) -> Number:
        """Apply; raises ExpressionError for a wrong count, outside the domain, or too large a result."""
        if len(values) < self.least or (self.most is not None and len(values) > self.most):
            counts = (
                f"{self.least}"
                if self.least == self.most
                else f"{self.least} to {self.most or 'any number of'}"
            )
            hint = "; inside a function write numbers without thousands separators" if len(values) > 1 else ""
            raise ExpressionError(f"{self.name} takes {counts} argument(s), not {len(values)}{hint}")
        try:
            return bounded(self.body(*values))
        except ExpressionError:
            raise
        except OverflowError:
            raise ExpressionError(f"{self.name} is too large to compute") from None
        except (ValueError, TypeError, ZeroDivisionError):
            shown = ", ".join(show(v) for v in values)
            raise ExpressionError(f"{self.name}({shown}) has no value") from None


def apply(operator: str, a: Number, b: Number) -> Number:
    """One of ``+ - * / // % **``; raises ExpressionError for a division by zero or too large a result."""
    try:
        return bounded(_OPERATORS[operator](a, b))
    except ZeroDivisionError:
        raise ExpressionError("division by zero") from None
    except OverflowError:
        raise ExpressionError("too large to compute") from None


def bounded(value: Any) -> Number:
    """`value` if it is a finite real of at most `MAX_BITS`; whole fractions become ints."""
    if isinstance(value, Fraction):
        value = value.numerator if value.denominator == 1 else value
    if isinstance(value, complex) or (isinstance(value, float) and math.isnan(value)):
        raise ExpressionError("not a real number")
    if isinstance(value, float) and math.isinf(value):
        raise ExpressionError("too large to compute")
    if isinstance(value, int | Fraction) and _bits(value) > MAX_BITS:
        raise ExpressionError(f"a number of more than {MAX_BITS} bits (about {MAX_BITS * 3 // 10} digits)")
    return value


def factorial(value: Number) -> Number:
    """n! for whole n from 0 to `MAX_FACTORIAL`."""
    n = _whole(value, "factorial")
    if n < 0 or n > MAX_FACTORIAL:
        raise ExpressionError(f"factorial({show(value)}): the number must be from 0 to {MAX_FACTORIAL}")
    return math.factorial(n)


def show(value: Number) -> str:
    """`value` as text: whole numbers in full, decimals exactly up to 30 places, otherwise 15 digits."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Fraction):
        exact = _terminating(value)
        if exact is not None:
            return exact
        return _plain(
            Context(prec=_SHOWN_DIGITS).divide(Decimal(value.numerator), Decimal(value.denominator))
        )
    return _plain(Context(prec=_SHOWN_DIGITS).create_decimal_from_float(value))


def _terminating(value: Fraction) -> str | None:
    """The decimal digits of a fraction that ends within `_EXACT_DIGITS` places."""
    rest, places = value.denominator, 0
    for prime in (2, 5):
        count = 0
        while rest % prime == 0 and count <= _EXACT_DIGITS:
            rest, count = rest // prime, count + 1
        places = max(places, count)
    if rest != 1 or places > _EXACT_DIGITS:
        return None
    digits = str(abs(value.numerator) * 10**places // value.denominator).zfill(places + 1)
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:].rstrip('0')}"


def _plain(value: Decimal) -> str:
    value = value.normalize(Context(prec=_SHOWN_DIGITS))
    if value == 0:
        return "0"
    if -7 <= value.adjusted() <= 20:
        return f"{value:f}"
    digits, _, exponent = f"{value:e}".partition("e")
    return f"{digits}e{int(exponent)}"


def _bits(value: int | Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _power(a: Number, b: Number) -> Number:
    if isinstance(b, float) or (isinstance(b, Fraction) and b.denominator != 1):
        return _root_power(a, b)
    if isinstance(a, float):
        return a ** int(b)
    exponent = int(b)
    if a == 0 and exponent < 0:
        raise ExpressionError("division by zero")
    if a in (0, 1, -1):  # the only bases whose powers do not grow
        return a ** (2 + exponent % 2) if exponent else 1
    if _bits(a) * abs(exponent) > 2 * MAX_BITS:
        raise ExpressionError(f"a power of more than {MAX_BITS} bits (about {MAX_BITS * 3 // 10} digits)")
    return Fraction(a) ** exponent


def _root_power(a: Number, b: Number) -> Number:
    if a < 0:
        raise ExpressionError("a root of a negative number is not a real number")
    if b * 2 == 1:
        return _sqrt(a)
    if a == 0 and b < 0:
        raise ExpressionError("division by zero")
    return float(a) ** float(b)


def _sqrt(value: Number) -> Number:
    """Exact where the root is."""
    if isinstance(value, float) or value < 0:
        return math.sqrt(value)
    roots = math.isqrt(value.numerator), math.isqrt(value.denominator)
    if roots[0] ** 2 == value.numerator and roots[1] ** 2 == value.denominator:
        return Fraction(*roots)
    return math.sqrt(value)


def _whole(value: Number, name: str) -> int:
    if value != (whole := int(value)):
        raise ExpressionError(f"{name} needs whole numbers, not {show(value)}")
    return whole


def _integers(name: str, body: Callable[..., int]) -> Callable[..., int]:
    return lambda *values: body(*(_whole(v, name) for v in values))


def _choose(name: str, body: Callable[[int, int], int]) -> Callable[..., int]:
    def count(n: Number, k: Number) -> int:
        if n > MAX_BITS:
            raise ExpressionError(f"{name} of more than {MAX_BITS}")
        return body(_whole(n, name), _whole(k, name))

    return count


def _angle(body: Callable[[float], float]) -> Callable[[Number], Number]:
    def compute(value: Number) -> Number:
        result = body(float(value))
        return 0 if abs(result) < _ZERO else result

    return compute


def _tan(value: float) -> float:
    if abs(math.cos(value)) < _ZERO:
        raise ExpressionError("tan has no value there")
    return math.tan(value)


def _log(value: Number, base: Number | None = None) -> float:
    if base is None:
        return math.log(value)
    if base in (2, 10):  # exact at powers of the base
        return math.log2(value) if base == 2 else math.log10(value)
    return math.log(value) / math.log(base)


def _round(value: Number, places: Number = 0) -> Number:
    """Half away from zero, as people do, on the exact value."""
    n = _whole(places, "round")
    if abs(n) > MAX_FACTORIAL:
        raise ExpressionError(f"round to more than {MAX_FACTORIAL} places")
    scaled = abs(Fraction(value)) * Fraction(10) ** n
    whole = Fraction(math.floor(scaled + Fraction(1, 2)), 1) / Fraction(10) ** n
    return -whole if value < 0 else whole


def _binary(operator: str) -> Callable[[Number, Number], Number]:
    return lambda a, b: apply(operator, a, b)


def _least(*values: Number) -> Number:
    return min(values)


def _most(*values: Number) -> Number:
    return max(values)


def _total(*values: Number) -> Number:
    return sum(values)


def _mean(*values: Number) -> Number:
    return apply("/", sum(values), len(values))


def _hypot(*values: Number) -> Number:
    return _sqrt(bounded(sum(x * x for x in values)))


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b if isinstance(a, float) or isinstance(b, float) else Fraction(a) / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "**": _power,
}

CONSTANTS: dict[str, Number] = {"pi": math.pi, "π": math.pi, "e": math.e, "tau": math.tau, "τ": math.tau}

FUNCTIONS: dict[str, Function] = {
    f.name: f
    for f in (
        Function("sqrt", _sqrt),
        Function("cbrt", math.cbrt),
        Function("abs", abs),
        Function("round", _round, 1, 2),
        Function("floor", math.floor),
        Function("ceil", math.ceil),
        Function("trunc", math.trunc),
        Function("exp", math.exp),
        Function("ln", _log),
        Function("log", _log, 1, 2),
        Function("log2", math.log2),
        Function("log10", math.log10),
        Function("sin", _angle(math.sin)),
        Function("cos", _angle(math.cos)),
        Function("tan", _angle(_tan)),
        Function("asin", _angle(math.asin)),
        Function("acos", _angle(math.acos)),
        Function("atan", _angle(math.atan)),
        Function("atan2", math.atan2, 2, 2),
        Function("sinh", _angle(math.sinh)),
        Function("cosh", _angle(math.cosh)),
        Function("tanh", _angle(math.tanh)),
        Function("hypot", _hypot, 1, None),
        Function("degrees", math.degrees),
        Function("radians", math.radians),
        Function("pow", _binary("**"), 2, 2),
        Function("mod", _binary("%"), 2, 2),
        Function("factorial", factorial),
        Function("gcd", _integers("gcd", math.gcd), 1, None),
        Function("lcm", _integers("lcm", math.lcm), 1, None),
        Function("comb", _choose("comb", math.comb), 2, 2),
        Function("perm", _choose("perm", math.perm), 2, 2),
        Function("min", _least, 1, None),
        Function("max", _most, 1, None),
        Function("sum", _total, 1, None),
        Function("mean", _mean, 1, None),
    )
}  # fmt: skip
