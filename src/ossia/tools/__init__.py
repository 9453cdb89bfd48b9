"""Tools: what the model may call. Any Python function with hints and a docstring, and a calculator."""

from ossia.tools.base import MAX_RESULT_CHARS, Tool, ToolOutcome, full_name
from ossia.tools.calculator import calculator
from ossia.tools.functions import FunctionTool, tool

__all__ = ["MAX_RESULT_CHARS", "FunctionTool", "Tool", "ToolOutcome", "calculator", "full_name", "tool"]
