"""Arithmetic expressions, read and computed by a small precedence parser; nothing is ever evaluated as code.

Whole numbers and decimals stay exact (0.1 + 0.2 is 0.3, 1/3*3 is 1); roots, logarithms and angles are
double precision. Written as people write: ``^`` or ``**``, ``×``, ``÷``, ``−``, ``1,234.5``, ``15% of 80``,
``5!``, ``5²``, ``√2``, ``30°``. ``%`` before an operand is the remainder, otherwise per cent.
"""

import re
from fractions import Fraction

from ossia.tools.numbers import CONSTANTS, FUNCTIONS, ExpressionError, Number, apply, factorial, show

__all__ = ["MAX_CHARS", "MAX_DEPTH", "ExpressionError", "calculate"]

MAX_CHARS = 1_000
MAX_DEPTH = 50
_MAX_EXPONENT = 1_000

# Left binding powers; a power's right side binds one lower, so that 2^3^2 is 2^9.
_INFIX = {"+": 10, "-": 10, "*": 20, "/": 20, "//": 20, "%": 20, "of": 25, "**": 40}
_UNARY = 30
_POSTFIX = 50
_SPELLINGS = {
    "^": "**", "×": "*", "·": "*", "∙": "*", "⋅": "*", "✕": "*", "÷": "/", "∕": "/", "⁄": "/",
    "−": "-", "–": "-", "mod": "%", "x": "*", "X": "*", "[": "(", "]": ")",
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-zπτ_]\w*)|(?P<power>[⁰¹²³⁴-⁹⁻]+)|(?P<sign>\*\*|//|.))",
    re.DOTALL,
)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?![\d,])")


def calculate(expression: str) -> str:
    """Return the value of `expression` as text.

    Whole numbers in full, decimals exactly up to 30 digits, otherwise 15 significant ones. Raises
    ExpressionError, with the place or the limit, for what is no expression, has no value, or is too large.
    """
    if len(expression) > MAX_CHARS:
        raise ExpressionError(f"longer than {MAX_CHARS} characters")
    text = re.sub(r"\s*=\s*\??\s*$", "", expression)
    if not text.strip():
        raise ExpressionError("it is empty")
    return show(_Parser(text).whole())


class _Parser:
    """Reads left to right, one token ahead, computing as it goes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0
        self._in_call = 0  # inside a function's parentheses a comma separates arguments
        self._at: int = 0
        self._kind = self._token = ""
        self._end = 0
        self._advance()

    def whole(self) -> Number:
        value = self._expression(0)
        if self._kind != "end":
            raise self._unexpected()
        return value

    def _advance(self) -> None:
        """Read the next token: its kind ("number", "name", "power", "sign", "end") and its text."""
        match = _TOKEN.match(self._text, self._end)
        if match is None or match.lastgroup is None:
            self._at, self._kind, self._token = len(self._text), "end", ""
            return
        self._kind, self._token = match.lastgroup, match[match.lastgroup]
        self._at, self._end = match.start(match.lastgroup), match.end()
        if self._kind == "number" and not self._in_call:
            self._join_thousands()
        self._token = _SPELLINGS.get(self._token, self._token)
        if self._token in _INFIX:
            self._kind = "sign"

    def _join_thousands(self) -> None:
        if grouped := _THOUSANDS.match(self._text, self._at):
            rest = re.compile(r"(?:\.\d*)?(?:[eE][+-]?\d+)?").match(self._text, grouped.end())
            self._end = rest.end() if rest else grouped.end()
            self._token = self._text[self._at : self._end].replace(",", "")

    def _expression(self, power: int) -> Number:
        """What binds tighter than `power`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH}")
        value = self._operand()
        while (binding := self._binding()) > power:
            value = self._continue(value, binding)
        self._depth -= 1
        return value

    def _binding(self) -> int:
        if self._kind == "power" or self._token in ("!", "°"):
            return _POSTFIX
        if self._token == "%" and not self._operand_follows():
            return _POSTFIX
        return _INFIX.get(self._token, 0)

    def _operand_follows(self) -> bool:
        """Whether what comes after this token can begin an operand (a sign cannot: 10% - 3)."""
        match = _TOKEN.match(self._text, self._end)
        if match is None or match.lastgroup in (None, "power"):
            return False
        token = match[match.lastgroup or 0]
        return token in "([√" if match.lastgroup == "sign" else token not in ("of", "x", "X", "mod")

    def _continue(self, left: Number, binding: int) -> Number:
        token, kind = self._token, self._kind
        self._advance()
        if kind == "power":
            return apply("**", left, int(token.translate(_SUPERSCRIPTS)))
        if binding == _POSTFIX:
            return self._postfix(token, left)
        right = self._expression(_UNARY - 1 if token == "**" else binding)
        return apply("*" if token == "of" else token, left, right)

    def _postfix(self, token: str, value: Number) -> Number:
        match token:
            case "!":
                return factorial(value)
            case "°":
                return apply("*", value, FUNCTIONS["radians"].call(1))
            case _:
                return apply("/", value, 100)

    def _operand(self) -> Number:
        kind, token = self._kind, self._token
        if kind == "number":
            self._advance()
            return _literal(token)
        if kind == "name":
            return self._named(token)
        if token in ("-", "+"):
            self._advance()
            value = self._expression(_UNARY)
            return -value if token == "-" else value
        if token == "√":
            self._advance()
            return FUNCTIONS["sqrt"].call(self._expression(_UNARY))
        if token == "(":
            outside, self._in_call = self._in_call, 0
            self._advance()
            value = self._expression(0)
            self._close(outside)
            return value
        raise self._unexpected()

    def _named(self, name: str) -> Number:
        self._advance()
        lower = name.lower()
        if self._token != "(":
            if lower in CONSTANTS:
                return CONSTANTS[lower]
            if lower not in FUNCTIONS:
                raise ExpressionError(f"unknown name {name!r}; known: {', '.join([*CONSTANTS, *FUNCTIONS])}")
            raise ExpressionError(f"{name} needs its arguments in parentheses")
        if lower not in FUNCTIONS:
            raise ExpressionError(f"unknown function {name!r}; known: {', '.join(FUNCTIONS)}")
        return FUNCTIONS[lower].call(*self._arguments())

    def _arguments(self) -> list[Number]:
        outside, self._in_call = self._in_call, 1
        self._advance()
        values: list[Number] = []
        while self._token != ")":
            values.append(self._expression(0))
            if self._token not in (",", ";"):
                break
            self._advance()
        self._close(outside)
        return values

    def _close(self, outside: int) -> None:
        if self._token != ")":
            raise self._unexpected()
        self._in_call = outside
        self._advance()

    def _unexpected(self) -> ExpressionError:
        if self._kind == "end":
            return ExpressionError("it ends too early")
        missing = (
            " (write * for a multiplication)"
            if self._kind in ("number", "name") or self._token == "("
            else ""
        )
        return ExpressionError(f"unexpected {self._token!r} at character {self._at + 1}{missing}")


def _literal(text: str) -> Number:
    digits, _, exponent = text.replace("_", "").lower().partition("e")
    if exponent and abs(int(exponent)) > _MAX_EXPONENT:
        raise ExpressionError(f"an exponent beyond {_MAX_EXPONENT}")
    value = Fraction(digits + (f"e{exponent}" if exponent else ""))
    return value.numerator if value.denominator == 1 else value
