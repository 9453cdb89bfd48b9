"""Items of the Responses API: what a client may send, and what comes back."""

from ossia.server.openapi.schema import (
    ANYTHING,
    COUNT,
    NUMBER,
    OBJECT,
    TEXT,
    TOOL_NAME,
    Fields,
    either,
    many,
    maybe,
    ref,
    shape,
    typed,
    wholes,
    words,
)

_STATUS = words("in_progress", "completed", "incomplete", "failed")
_SAID = many(either(typed("output_text", {"text": TEXT}), typed("refusal", {"refusal": TEXT})))
_PARTS = many(
    either(
        typed("input_text", {"text": TEXT}),
        typed("input_image", {}, {"image_url": maybe(TEXT), "file_id": maybe(TEXT), "detail": TEXT}),
        typed("input_file", {}, {"file_id": TEXT, "filename": TEXT, "file_data": TEXT}),
    )
)
_RESULT = either(TEXT, _PARTS)
_CALL_ID = {**TEXT, "minLength": 1}

SCHEMAS: Fields = {
    "InputItem": either(
        shape(
            {"role": words("user", "system", "developer"), "content": either(TEXT, _PARTS)},
            {"type": words("message")},
        ),
        shape({"role": words("assistant"), "content": either(TEXT, _SAID)}, {"type": words("message")}),
        typed("reasoning", {}, {"summary": many(ref("SummaryText")), "content": many(ref("ReasoningText"))}),
        typed("function_call", {"call_id": _CALL_ID, "name": TOOL_NAME, "arguments": TEXT}),
        typed("function_call_output", {"call_id": _CALL_ID, "output": _RESULT}),
        typed("custom_tool_call", {"call_id": _CALL_ID, "name": TOOL_NAME, "input": TEXT}),
        typed("custom_tool_call_output", {"call_id": _CALL_ID, "output": _RESULT}),
        typed("item_reference", {"id": TEXT}),
        typed("web_search_call", {}, {"id": TEXT, "status": TEXT}),
    ),
    "SummaryText": typed("summary_text", {"text": TEXT}),
    "ReasoningText": typed("reasoning_text", {"text": TEXT}),
    "Logprob": shape(
        {"token": TEXT, "logprob": NUMBER, "bytes": many(wholes(0, 255)), "top_logprobs": many(OBJECT)}
    ),
    "OutputText": typed(
        "output_text", {"text": TEXT, "annotations": many(OBJECT), "logprobs": many(ref("Logprob"))}
    ),
    "OutputItem": either(
        typed(
            "message",
            {"id": TEXT, "status": _STATUS, "role": words("assistant"), "content": many(ref("OutputText"))},
            {"phase": maybe(words("commentary", "final_answer"))},
        ),
        typed(
            "reasoning",
            {"id": TEXT, "status": _STATUS, "summary": many(ref("SummaryText"))},
            {"content": many(ref("ReasoningText")), "encrypted_content": TEXT},
        ),
        typed(
            "function_call",
            {"id": TEXT, "status": _STATUS, "call_id": TEXT, "name": TEXT, "arguments": TEXT},
            {"namespace": TEXT},
        ),
        typed(
            "custom_tool_call",
            {"id": TEXT, "status": _STATUS, "call_id": TEXT, "name": TEXT, "input": TEXT},
            {"namespace": TEXT},
        ),
        typed("compaction", {"id": TEXT, "encrypted_content": TEXT}),
    ),
    "StoredItem": shape({"id": TEXT, "type": TEXT}, {"status": TEXT, "role": TEXT, "content": ANYTHING}),
    "ItemList": shape(
        {
            "object": words("list"),
            "data": many(ref("StoredItem")),
            "first_id": maybe(TEXT),
            "last_id": maybe(TEXT),
            "has_more": {"type": "boolean"},
        }
    ),
    "Usage": shape(
        {
            "input_tokens": COUNT,
            "input_tokens_details": shape({"cached_tokens": COUNT, "cache_write_tokens": COUNT}),
            "output_tokens": COUNT,
            "output_tokens_details": shape({"reasoning_tokens": COUNT}),
            "total_tokens": COUNT,
        }
    ),
}
