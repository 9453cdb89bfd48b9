"""Ollama's API as its clients use it, as OpenAPI has it."""

from ossia.server.openapi.operation import Operation, Paths, answer, lines, operation
from ossia.server.openapi.schema import (
    COUNT,
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    WHOLE,
    Fields,
    Schema,
    asked,
    either,
    many,
    maybe,
    ref,
    shape,
    typed,
    wholes,
    words,
)

_KEEP = either(NUMBER, {"type": "string", "pattern": r"^-?[0-9]{1,6}(ms|s|m|h)$"})
_CALLS = many(shape({"function": shape({"name": TEXT, "arguments": OBJECT})}, {"id": TEXT}))
_ROLE = words("system", "user", "assistant")
_OPTIONS = shape(
    {},
    {
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "top_k": wholes(0, 1000),
        "top_p": {"type": "number", "minimum": 0, "maximum": 1},
        "seed": WHOLE,
        "num_predict": wholes(-2, 2**31),
        "num_ctx": COUNT,
        "stop": either(TEXT, many(TEXT)),
    },
)
_GENERATING: Fields = {
    "stream": FLAG,
    "think": either(FLAG, words("low", "medium", "high")),
    "format": either(words("", "json"), typed("object", {}, {"properties": OBJECT})),
    "options": _OPTIONS,
    "keep_alive": _KEEP,
    "logprobs": FLAG,
    "top_logprobs": wholes(0, 20),
    "return_progress": FLAG,
}
_HEAD: Fields = {"model": TEXT, "created_at": TEXT, "done": FLAG}
_END: Fields = {
    "done_reason": words("stop", "length", "load", "unload"),
    "total_duration": COUNT,
    "load_duration": COUNT,
    "prompt_eval_count": COUNT,
    "prompt_eval_duration": COUNT,
    "eval_count": COUNT,
    "eval_duration": COUNT,
    "logprobs": many(shape({"token": TEXT, "logprob": NUMBER})),
    "ossia": ref("Extension"),
}
_DETAILS = shape({"format": TEXT, "family": TEXT, "parameter_size": TEXT, "quantization_level": TEXT})

SCHEMAS: Fields = {
    "OllamaError": shape({"error": TEXT}),
    "OllamaNamed": asked({}, {"model": TEXT, "name": TEXT, "stream": FLAG}),
    "OllamaChatRequest": asked(
        {"model": TEXT},
        {
            "messages": many(
                shape(
                    {"role": _ROLE, "content": TEXT},
                    {"thinking": maybe(TEXT), "images": maybe(many(TEXT)), "tool_calls": maybe(_CALLS)},
                )
            ),
            "tools": many(typed("function", {"function": shape({"name": TEXT}, {"parameters": OBJECT})})),
            **_GENERATING,
        },
    ),
    "OllamaGenerateRequest": asked(
        {"model": TEXT},
        {"prompt": TEXT, "system": TEXT, "images": many(TEXT), "context": many(WHOLE), **_GENERATING},
    ),
    "OllamaChatAnswer": shape(
        {
            **_HEAD,
            "message": shape(
                {"role": words("assistant"), "content": TEXT}, {"thinking": TEXT, "tool_calls": _CALLS}
            ),
        },
        _END,
    ),
    "OllamaGenerateAnswer": shape(
        {**_HEAD, "response": TEXT}, {**_END, "thinking": TEXT, "context": many(COUNT)}
    ),
    "OllamaTag": shape(
        {"name": TEXT, "model": TEXT, "size": COUNT, "digest": TEXT, "details": _DETAILS},
        {"modified_at": TEXT, "expires_at": TEXT, "size_vram": COUNT, "context_length": COUNT},
    ),
    "OllamaDescription": shape(
        {"details": _DETAILS, "model_info": OBJECT, "capabilities": many(TEXT), "template": TEXT},
        {"modelfile": TEXT, "parameters": TEXT, "modified_at": TEXT},
    ),
}


def _get(id: str, about: str, schema: Schema) -> dict[str, Operation]:
    return {"get": operation(id, about, answer("As Ollama says it.", schema), error="OllamaError")}


def _answering(id: str, about: str, request: str, told: str) -> dict[str, Operation]:
    ok = lines("One object, or one a line.", ref(told), ref(told))
    return {"post": operation(id, about, ok, body=ref(request), error="OllamaError")}


def _refused(id: str, method: str = "post") -> dict[str, Operation]:
    ok = answer("Never: this server does not offer it.", OBJECT)
    body = ref("OllamaNamed")
    return {method: operation(id, "Refused.", ok, body=body, needs_body=False, error="OllamaError")}


_LIST = shape({"models": many(ref("OllamaTag"))})
_PULLED = shape({}, {"status": TEXT, "error": TEXT})

PATHS: Paths = {
    "/api/version": _get("ollamaVersion", "Ollama's version whose API this is.", shape({"version": TEXT})),
    "/api/tags": _get("ollamaTags", "The models that are installed.", _LIST),
    "/api/ps": _get("ollamaPs", "The model that is in memory.", _LIST),
    "/api/show": {
        "post": operation(
            "ollamaShow",
            "What is known of a model.",
            answer("As Ollama says it.", ref("OllamaDescription")),
            body=ref("OllamaNamed"),
            error="OllamaError",
        )
    },
    "/api/chat": _answering("ollamaChat", "Answer a conversation.", "OllamaChatRequest", "OllamaChatAnswer"),
    "/api/generate": _answering(
        "ollamaGenerate", "Answer a prompt.", "OllamaGenerateRequest", "OllamaGenerateAnswer"
    ),
    "/api/pull": {
        "post": operation(
            "ollamaPull",
            "Succeed at once for a model that is installed; others are not fetched.",
            lines("One object, or one a line.", _PULLED, _PULLED),
            body=ref("OllamaNamed"),
            error="OllamaError",
        )
    },
    "/api/copy": _refused("ollamaCopy"),
    "/api/create": _refused("ollamaCreate"),
    "/api/push": _refused("ollamaPush"),
    "/api/embed": _refused("ollamaEmbed"),
    "/api/embeddings": _refused("ollamaEmbeddings"),
    "/api/delete": _refused("ollamaDelete", "delete"),
}
