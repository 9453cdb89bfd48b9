"""The calculator: exact where it can be, bounded, and never an exception."""

import asyncio
import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.tools import calculator, full_name
from ossia.tools.arithmetic import MAX_CHARS, ExpressionError, calculate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("12345 - 678", "11667"),
        ("12345-678 =", "11667"),
        ("0.1 + 0.2", "0.3"),
        ("1/3*3", "1"),
        ("1/3", "0.333333333333333"),
        ("-7/2", "-3.5"),
        ("1/1024", "0.0009765625"),
        ("2^3^2", "512"),
        ("-2**2", "-4"),
        ("2^-2", "0.25"),
        ("7 // 2", "3"),
        ("7 % 3", "1"),
        ("10 mod 3", "1"),
        ("10% - 3", "-2.9"),
        ("200 * 15%", "30"),
        ("15% of 80", "12"),
        ("50%%", "0.005"),
        ("5%(3)", "2"),
        ("1,234.5 × 2", "2469"),
        ("(1,234 + 1) ÷ 5", "247"),
        ("1_000 − 1", "999"),
        ("6 x 7", "42"),
        ("max(1,234)", "234"),
        ("min(3; 1, 2)", "1"),
        ("sqrt(16)", "4"),
        ("√9 + 1", "4"),
        ("sqrt(0.25)", "0.5"),
        ("sqrt(2)", "1.4142135623731"),
        ("8 ** (1/3)", "2"),
        ("5!", "120"),
        ("2^3!", "64"),
        ("5² + 2³", "33"),
        ("2⁻²", "0.25"),
        ("[1 + 2] * 3", "9"),
        ("sin(30°)", "0.5"),
        ("sin(pi)", "0"),
        ("cos(π)", "-1"),
        ("ln(e)", "1"),
        ("log(1000, 10)", "3"),
        ("LOG2(8)", "3"),
        ("round(2.5)", "3"),
        ("round(-2.5)", "-3"),
        ("round(2.675, 2)", "2.68"),
        ("floor(-3.5) + ceil(3.2)", "0"),
        ("gcd(12, 18) + lcm(4, 6)", "18"),
        ("comb(5, 2) * perm(4, 2)", "120"),
        ("mean(1, 2, 4)", "2.33333333333333"),
        ("hypot(3, 4)", "5"),
        ("abs(-3)", "3"),
        ("0^0", "1"),
        ("1^999999999999", "1"),
        ("(-1)^1000000000001", "-1"),
        ("2e3 + .5", "2000.5"),
        ("1e25 * pi", "3.14159265358979e25"),
        ("exp(-40)", "4.24835425529159e-18"),
        ("2^100", str(2**100)),
    ],
)
def test_values(expression: str, value: str) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "empty"),
        ("=", "empty"),
        ("1 +", "ends too early"),
        ("(1", "ends too early"),
        ("1)", "unexpected ')' at character 2"),
        ("2 3", "write *"),
        ("2(3)", "write *"),
        ("1,23", "unexpected ','"),
        ("2 ** ** 3", "unexpected '**'"),
        ("1/0", "division by zero"),
        ("5 % 0", "division by zero"),
        ("0^-1", "division by zero"),
        ("0^-0.7", "division by zero"),
        ("sqrt(-1)", "sqrt(-1) has no value"),
        ("(-8)^(1/3)", "root of a negative"),
        ("log(0)", "no value"),
        ("log(5, 1)", "no value"),
        ("asin(2)", "no value"),
        ("tan(90°)", "no value"),
        ("foo(1)", "unknown function 'foo'"),
        ("bar + 1", "unknown name 'bar'"),
        ("sqrt 4", "parentheses"),
        ("sqrt(1,234)", "thousands separators"),
        ("max()", "takes 1 to any number of"),
        ("1.5!", "whole numbers"),
        ("(-3)!", "from 0 to 1000"),
        ("1001!", "from 0 to 1000"),
        ("9^9^9", "13000 bits"),
        ("(1/3)^99999", "13000 bits"),
        ("2^13001", "13000 bits"),
        ("1e999999999", "exponent beyond 1000"),
        ("comb(1e9, 5e8)", "more than 13000"),
        ("exp(1000)", "too large"),
        ("pi^999999", "too large"),
        ("round(1, 99999)", "1000 places"),
        ("(" * 51 + "1" + ")" * 51, "nested deeper than 50"),
        ("-" * 51 + "1", "nested deeper than 50"),
        ("1+" * 500 + "1", "longer than 1000"),
        ("__import__('os').system('true')", "unknown function"),
        ("().__class__", "unexpected ')'"),
        ("1 if 1 else 2", "unexpected 'if'"),
        ("lambda: 1", "unknown name 'lambda'"),
    ],
)
def test_what_has_no_value_says_why(expression: str, reason: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        calculate(expression)
    assert reason in str(caught.value)


@given(st.text(st.sampled_from("0123456789.,+-*/%^!()°√²eπ sqrtlogmax;="), max_size=60))
def test_any_text_has_a_value_or_a_reason(expression: str) -> None:
    try:
        text = calculate(expression)
    except ExpressionError as cause:
        text = str(cause)
    assert text


@given(st.lists(st.tuples(st.sampled_from("+-*"), st.integers(0, 10**12)), min_size=1, max_size=20))
def test_whole_numbers_are_exact(terms: list[tuple[str, int]]) -> None:
    expression = "".join(sign + str(n) for sign, n in terms).lstrip("*")
    assert calculate(expression) == str(eval(expression.lstrip("+"), {"__builtins__": {}}))


@given(st.decimals(-1000, 1000, places=4), st.decimals(-1000, 1000, places=4))
def test_decimals_are_exact(a: object, b: object) -> None:
    assert Fraction(calculate(f"({a}) * ({b})")) == Fraction(str(a)) * Fraction(str(b))


def test_the_longest_expression_is_quick_and_the_largest_number_is_shown() -> None:
    assert len(calculate("2^12999")) == 3914
    longest = "1" + "+9!" * ((MAX_CHARS - 1) // 3)
    assert calculate(longest) == str(1 + math.factorial(9) * 333)


def test_as_a_tool() -> None:
    tool = calculator()
    assert full_name(tool) == "functions.calculator"
    assert tool.spec.parameters is not None
    assert list(tool.spec.parameters["properties"]) == ["expression"]
    outcome = asyncio.run(tool.call(json.dumps({"expression": "12345 - 678"})))
    assert (outcome.text, outcome.is_error) == ("11667", False)
    outcome = asyncio.run(tool.call(json.dumps({"expression": "1/0"})))
    assert (outcome.text, outcome.is_error) == ("Cannot calculate '1/0': division by zero", True)
