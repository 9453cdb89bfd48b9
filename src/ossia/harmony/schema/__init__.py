"""Tools as the model sees them: JSON Schema written as a TypeScript-like namespace."""

from ossia.harmony.schema.namespace import SchemaMode, render_namespace, render_tools

__all__ = ["SchemaMode", "render_namespace", "render_tools"]
