"""The built-in calculator: exact arithmetic for a model that cannot count."""

from ossia.tools.arithmetic import ExpressionError, calculate
from ossia.tools.base import ToolOutcome
from ossia.tools.functions import FunctionTool, tool


def calculator() -> FunctionTool:
    """The tool ``functions.calculator`` with one argument, `expression`."""
    return tool(_calculate, name="calculator")


async def _calculate(expression: str) -> ToolOutcome:
    """Evaluate an arithmetic expression exactly.

    Args:
        expression: For example "12345 - 678", "15% of 80", "2^10", "sqrt(2) * (3 + 4)" or "factorial(20)".
    """
    try:
        return ToolOutcome(calculate(expression))
    except ExpressionError as cause:
        return ToolOutcome(f"Cannot calculate {expression!r}: {cause}", is_error=True)
