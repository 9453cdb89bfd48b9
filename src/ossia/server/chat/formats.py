"""`response_format` in the shapes Chat Completions has, as what the grammar is told."""

from ossia.agent.events import Note
from ossia.harmony.formats.fields import as_object, flag_of, text_of, wrong
from ossia.harmony.grammar import JsonObject, JsonSchema, ResponseFormat
from ossia.server.declared import checked_format

_KINDS = ("text", "json_object", "json_schema")


def read_format(value: object) -> tuple[ResponseFormat | None, list[Note]]:
    """The format, None for text; and notes about what of a strict schema cannot be enforced.

    Raises InputError for an unknown type, and for a schema that nothing satisfies.
    """
    if value is None:
        return None, []
    told = as_object(value, "response_format")
    kind = told.get("type")
    if kind == "text":
        return None, []
    if kind == "json_object":
        return JsonObject(), []
    if kind != "json_schema":
        raise wrong("response_format.type", f"unknown type {kind!r}", kind, _KINDS)
    where = "response_format.json_schema"
    fields = as_object(told.get("json_schema"), where)
    schema = dict(as_object(fields.get("schema") or {}, f"{where}.schema"))
    gaps = checked_format(schema, f"{where}.schema")
    notes: list[Note] = []
    if gaps and flag_of(fields, "strict", where):
        notes.append(Note("not-strict", f"{where}: {', '.join(gaps)} cannot be enforced while sampling"))
    return JsonSchema(schema, text_of(fields, "name", where) or ""), notes
