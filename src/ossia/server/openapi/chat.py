"""Chat Completions and the list of models, as OpenAPI has it."""

from ossia.server.openapi.operation import Paths, answer, events, in_path, operation
from ossia.server.openapi.schema import (
    ANYTHING,
    COUNT,
    EFFORT,
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
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

_CONTENT = either(
    TEXT, many(either(typed("text", {"text": TEXT}), typed("image_url", {"image_url": OBJECT})))
)
_FUNCTION = shape({"name": TEXT}, {"description": maybe(TEXT), "parameters": maybe(OBJECT)})
_CALL = shape({"id": TEXT, "type": words("function", "custom")}, {"function": OBJECT, "custom": OBJECT})
_MESSAGE = either(
    shape({"role": words("system", "developer", "user"), "content": _CONTENT}),
    shape(
        {"role": words("assistant")},
        {"content": maybe(_CONTENT), "reasoning": maybe(TEXT), "reasoning_content": maybe(TEXT)},
    ),
)
_TOOL = either(typed("function", {"function": _FUNCTION}), typed("custom", {"custom": shape({"name": TEXT})}))
_FORMAT = either(
    typed("text", {}),
    typed("json_object", {}),
    typed("json_schema", {"json_schema": shape({"name": TEXT}, {"schema": OBJECT, "strict": maybe(FLAG)})}),
)

SCHEMAS: Fields = {
    "ChatRequest": asked(
        {"model": TEXT, "messages": many(_MESSAGE, least=1)},
        {
            "stream": FLAG,
            "stream_options": shape({}, {"include_usage": maybe(FLAG)}),
            "n": wholes(1, 128),
            "max_tokens": wholes(1, 2**31),
            "max_completion_tokens": wholes(1, 2**31),
            "temperature": numbers(0, 2),
            "top_p": numbers(0, 1),
            "presence_penalty": numbers(-2, 2),
            "frequency_penalty": numbers(-2, 2),
            "seed": WHOLE,
            "stop": either(TEXT, many(TEXT)),
            "logprobs": FLAG,
            "top_logprobs": wholes(0, 20),
            "logit_bias": {
                "type": "object",
                "propertyNames": {"pattern": "^[0-9]{1,5}$"},
                "additionalProperties": numbers(-100, 100),
            },
            "tools": many(_TOOL),
            "tool_choice": either(words("auto", "none", "required"), OBJECT),
            "parallel_tool_calls": FLAG,
            "response_format": _FORMAT,
            "reasoning_effort": EFFORT,
            "return_progress": FLAG,
            "metadata": ANYTHING,
            "user": ANYTHING,
        },
        about="Fields that are not listed are ignored.",
    ),
    "ChatMessage": shape(
        {"role": words("assistant"), "content": maybe(TEXT), "refusal": maybe(TEXT)},
        {
            "reasoning": TEXT,
            "reasoning_content": TEXT,
            "tool_calls": many(_CALL),
            "function_call": shape({"name": TEXT, "arguments": TEXT}),
            "annotations": many(OBJECT),
        },
    ),
    "ChatLogprob": shape(
        {"token": TEXT, "bytes": maybe(many(wholes(0, 255))), "logprob": NUMBER},
        {"top_logprobs": many(shape({"token": TEXT, "logprob": NUMBER}))},
    ),
    "ChatLogprobs": maybe(shape({"content": maybe(many(ref("ChatLogprob")))})),
    "ChatUsage": shape(
        {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT},
        {
            "prompt_tokens_details": shape({"cached_tokens": COUNT}),
            "completion_tokens_details": shape({"reasoning_tokens": COUNT}),
        },
    ),
    "ChatCompletion": shape(
        {
            "id": TEXT,
            "object": words("chat.completion"),
            "created": COUNT,
            "model": TEXT,
            "choices": many(
                shape(
                    {
                        "index": COUNT,
                        "message": ref("ChatMessage"),
                        "logprobs": ref("ChatLogprobs"),
                        "finish_reason": words("stop", "length", "tool_calls", "function_call"),
                    }
                ),
                least=1,
            ),
            "usage": ref("ChatUsage"),
        },
        {"ossia": ref("Extension")},
    ),
    "ChatChunk": shape(
        {
            "id": TEXT,
            "object": words("chat.completion.chunk"),
            "created": COUNT,
            "model": TEXT,
            "choices": many(
                shape(
                    {
                        "index": COUNT,
                        "delta": OBJECT,
                        "finish_reason": maybe(words("stop", "length", "tool_calls", "function_call")),
                    },
                    {"logprobs": ref("ChatLogprobs")},
                )
            ),
        },
        {"usage": maybe(ref("ChatUsage")), "ossia": ref("Extension")},
    ),
    "Model": shape(
        {"id": TEXT, "object": words("model"), "created": COUNT, "owned_by": TEXT},
        {"context_length": maybe(COUNT)},
    ),
}

PATHS: Paths = {
    "/v1/chat/completions": {
        "post": operation(
            "createChatCompletion",
            "Answer a conversation.",
            events(
                "The answer, or its chunks.", ref("ChatCompletion"), either(ref("ChatChunk"), ref("Error"))
            ),
            body=ref("ChatRequest"),
        )
    },
    "/v1/models": {
        "get": operation(
            "listModels",
            "The models that are installed.",
            answer("All of them.", shape({"object": words("list"), "data": many(ref("Model"))})),
        )
    },
    "/v1/models/{name}": {
        "get": operation(
            "getModel",
            "One of them, by any spelling of its name.",
            answer("The model.", ref("Model")),
            parameters=[in_path("name", "A model's name; it may contain slashes.")],
        )
    },
}
