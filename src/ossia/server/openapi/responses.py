"""Creating responses, as OpenAPI has it."""

from ossia.server.openapi.items import SCHEMAS as ITEMS
from ossia.server.openapi.operation import Paths, events, operation
from ossia.server.openapi.schema import (
    COUNT,
    EFFORT,
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    TOOL_NAME,
    WHOLE,
    Fields,
    asked,
    either,
    many,
    maybe,
    numbers,
    ref,
    shape,
    typed,
    wholes,
    words,
)

_FUNCTION = typed(
    "function",
    {"name": TOOL_NAME},
    {
        "description": maybe(TEXT),
        "parameters": maybe(typed("object", {}, {"properties": {"type": "object", "maxProperties": 0}})),
        "strict": maybe(FLAG),
    },
)
_GRAMMAR = typed("grammar", {"syntax": words("regex"), "definition": words("[a-z]+", "[0-9]{1,3}")})
_CUSTOM = typed(
    "custom",
    {"name": TOOL_NAME},
    {"description": maybe(TEXT), "format": maybe(either(typed("text", {}), _GRAMMAR))},
)
_HOSTED = typed("web_search", {})
_CHOICE = either(
    words("auto", "none"), typed("allowed_tools", {"mode": words("auto"), "tools": many(OBJECT)})
)
_FORMAT = either(
    typed("text", {}),
    typed("json_object", {}),
    typed("json_schema", {"name": TEXT, "schema": typed("object", {})}, {"strict": maybe(FLAG)}),
)
_STOP = {**TEXT, "minLength": 1}
_METADATA = {"type": "object", "maxProperties": 16, "additionalProperties": {**TEXT, "maxLength": 512}} | {
    "propertyNames": {"maxLength": 64}
}

_GIVEN: Fields = {
    "model": TEXT,
    "input": either(TEXT, many(ref("InputItem"))),
    "instructions": TEXT,
    "previous_response_id": TEXT,
    "conversation": either(TEXT, shape({"id": TEXT})),
    "tools": many(either(_FUNCTION, _CUSTOM, _HOSTED)),
    "tool_choice": _CHOICE,
    "parallel_tool_calls": FLAG,
    "reasoning": shape(
        {},
        {
            "effort": maybe(EFFORT),
            "summary": maybe(words("auto", "concise", "detailed", "none")),
            "max_tokens": maybe(wholes(0, 2**31)),
        },
    ),
    "text": shape({}, {"format": maybe(_FORMAT), "verbosity": maybe(words("low", "medium", "high"))}),
    "truncation": words("auto", "disabled"),
}

SCHEMAS: Fields = {
    **ITEMS,
    "Metadata": _METADATA,
    "ResponseRequest": asked(
        {"model": TEXT},
        {
            **{name: schema for name, schema in _GIVEN.items() if name != "model"},
            "stream": FLAG,
            "store": FLAG,
            "background": FLAG,
            "include": many(words("reasoning.encrypted_content", "message.output_text.logprobs")),
            "max_output_tokens": wholes(1, 2**31),
            "max_tool_calls": wholes(0, 2**31),
            "temperature": numbers(0, 2),
            "top_p": numbers(0, 1),
            "top_logprobs": wholes(0, 20),
            "seed": WHOLE,
            "stop": either(_STOP, many(_STOP)),
            "top_k": wholes(0, 2**31),
            "min_p": numbers(0, 1),
            "presence_penalty": numbers(-2, 2),
            "frequency_penalty": numbers(-2, 2),
            "metadata": ref("Metadata"),
            "service_tier": words("auto", "default", "flex", "scale", "priority"),
            "prompt_cache_key": TEXT,
            "safety_identifier": TEXT,
            "user": TEXT,
            "return_progress": FLAG,
        },
        about="Fields that are not listed are ignored; tools of types this server does not have are left "
        "out of the prompt and named in a warning.",
    ),
    "CountRequest": asked({}, _GIVEN),
    "Response": shape(
        {
            "id": TEXT,
            "object": words("response"),
            "created_at": COUNT,
            "completed_at": maybe(COUNT),
            "status": words("queued", "in_progress", "completed", "incomplete", "failed", "cancelled"),
            "error": maybe(shape({"code": TEXT, "message": TEXT})),
            "incomplete_details": maybe(shape({"reason": TEXT})),
            "instructions": maybe(either(TEXT, many(OBJECT))),
            "model": TEXT,
            "output": many(ref("OutputItem")),
            "parallel_tool_calls": FLAG,
            "previous_response_id": maybe(TEXT),
            "reasoning": maybe(shape({}, {"effort": maybe(EFFORT), "summary": maybe(TEXT)})),
            "store": FLAG,
            "temperature": NUMBER,
            "top_p": NUMBER,
            "presence_penalty": NUMBER,
            "frequency_penalty": NUMBER,
            "top_logprobs": COUNT,
            "text": shape({"format": shape({"type": TEXT})}, {"verbosity": TEXT}),
            "tool_choice": either(TEXT, OBJECT),
            "tools": many(OBJECT),
            "truncation": words("auto", "disabled"),
            "usage": maybe(ref("Usage")),
            "metadata": maybe(ref("Metadata")),
            "background": FLAG,
            "service_tier": TEXT,
            "safety_identifier": maybe(TEXT),
        },
        {
            "max_output_tokens": maybe(COUNT),
            "max_tool_calls": maybe(COUNT),
            "prompt_cache_key": maybe(TEXT),
            "user": maybe(TEXT),
            "conversation": maybe(shape({"id": TEXT})),
            "ossia": ref("Extension"),
        },
    ),
    "ResponseEvent": shape({"type": TEXT}, {"sequence_number": COUNT, "response": ref("Response")}),
}

PATHS: Paths = {
    "/v1/responses": {
        "post": operation(
            "createResponse",
            "Answer.",
            events("The response, or its events.", ref("Response"), ref("ResponseEvent")),
            body=ref("ResponseRequest"),
        )
    }
}
