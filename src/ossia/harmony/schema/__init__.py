"""Tools as the model sees them: JSON Schema written as a TypeScript-like namespace."""

from ossia.harmony.schema.compat import render_namespace, render_tools

__all__ = ["render_namespace", "render_tools"]
