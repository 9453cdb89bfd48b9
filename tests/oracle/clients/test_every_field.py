"""Everything the openai package's types let a client say, said to the real server, and every answer read back
through the package's models: nothing fails, and nothing is refused that OpenAI accepts.
"""

import json
from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any, get_args

import httpx
import pytest
from instances import Walk
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.conversations import Conversation, ConversationItem
from openai.types.conversations.conversation_create_params import ConversationCreateParams
from openai.types.conversations.item_list_params import ItemListParams
from openai.types.responses import (
    CompactedResponse,
    Response,
    ResponseItem,
    ResponseStreamEvent,
)
from openai.types.responses.input_item_list_params import InputItemListParams
from openai.types.responses.input_token_count_params import InputTokenCountParams
from openai.types.responses.input_token_count_response import InputTokenCountResponse
from openai.types.responses.response_compact_params import ResponseCompactParams
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from openai.types.responses.response_retrieve_params import (
    ResponseRetrieveParamsBase,
    ResponseRetrieveParamsStreaming,
)
from puppet import NAME, Puppet, call, final, running, service_of
from pydantic import TypeAdapter

from ossia.harmony.messages import Message
from ossia.server.store.store import Store

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
FUNCTION = {"type": "function", "name": "text", "parameters": SCHEMA}
ANSWERED = {  # whose call must stand before a result
    "function_call_output": {"type": "function_call", "call_id": "text", "name": "text", "arguments": "{}"},
    "custom_tool_call_output": {"type": "custom_tool_call", "call_id": "text", "name": "text", "input": ""},
}
ASKED = {
    "tool": {
        "tool_calls": [{"id": "text", "type": "function", "function": {"name": "text", "arguments": "{}"}}]
    },
    "function": {"function_call": {"name": "text", "arguments": "{}"}},
}
OURS = {*ANSWERED, "message", "reasoning", "function_call", "custom_tool_call", "compaction"}
SAYINGS = ("content", "refusal", "tool_calls", "function_call")
AT_ONCE = 20  # items in a request: as many as a conversation takes
REFUSED = {"prompt"}  # no templates are stored, so that every id is unknown, as it would be to OpenAI


def known(owner: str, key: str) -> list[Any] | None:
    """Values of the fields whose types say less than OpenAI asks for."""
    if key in ("schema", "parameters", "output_schema"):
        return [SCHEMA]
    if key == "tools" and "Allowed" in owner:
        mcp = {"type": "mcp", "server_label": "text"}
        return [[FUNCTION], [mcp, FUNCTION], [{"type": "image_generation"}]]
    return {
        "arguments": ["{}"],
        "definition": ['start: "a"'],
        "encrypted_content": ["SEALED"],
        "logit_bias": [{"1": 1}, None],
        "model": [NAME],
        "previous_response_id": ["RESPONSE", None],
        "conversation": ["CONVERSATION", {"id": "CONVERSATION"}, None],
        "tool_call_id": ["text"],
    }.get(key)


WALK = Walk(known)


def by_type(union: Any) -> dict[str, TypeAdapter[Any]]:
    """What reads a member of a union, by the type it names: the package itself goes by that alone."""
    classes: dict[str, Any] = {}
    for cls in get_args(get_args(union)[0]):
        for name in get_args(cls.model_fields["type"].annotation):
            classes[name] = cls | classes[name] if name in classes else cls
    return {name: TypeAdapter(cls) for name, cls in classes.items()}


EVENTS, ITEMS, KEPT = by_type(ResponseStreamEvent), by_type(ResponseItem), by_type(ConversationItem)


def said(prompt: str) -> str:
    """The puppet calls the tool there is, until it was answered."""
    if "type text = " in prompt and "functions.text to=assistant" not in prompt:
        return call("functions.text", {"text": "a"}, thought="Ask.")
    return final('{"text": "a"}', "Say it.")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A server, and in it a conversation, a response and something sealed."""
    store = Store.open(tmp_path_factory.mktemp("store") / "ossia.db")
    service = service_of(Puppet(said), store=store)
    with running(service) as url, httpx.Client(base_url=f"{url}/v1", timeout=30) as client:
        held = client.post("/conversations", json={}).json()["id"]
        made = client.post("/responses", json={"model": NAME, "input": "Hello."}).json()
        names = {
            "SEALED": service.sealer.seal("", [Message("assistant", "Hm.", channel="analysis")]),
            "RESPONSE": made["id"],
            "CONVERSATION": held,
            "ITEM": made["output"][-1]["id"],
        }
        yield SimpleNamespace(client=client, names=names)


def real(value: Any, names: dict[str, str]) -> Any:
    """`value` with what stands there in capitals replaced."""
    if isinstance(value, dict):
        id = {"id": "ITEM"} if value.get("type") == "item_reference" else {}
        return {key: real(inner, names) for key, inner in {**value, **id}.items()}
    if isinstance(value, list):
        return [real(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


def sent(server: SimpleNamespace, path: str, body: dict[str, Any]) -> tuple[httpx.Response, str]:
    """The answer to a request, and what to say about it."""
    body = real(body, server.names)
    answer = server.client.post(path, json=body)
    return (
        answer,
        f"{answer.status_code} for {json.dumps(body)[-250:]}: {answer.text if answer.is_error else ''}",
    )


def check_events(text: str) -> None:
    """Every event is one the package knows, and the last one says that the answer is there."""
    kinds: list[str] = []
    for block in text.strip().split("\n\n"):
        data = block.rpartition("data: ")[2]
        if data != "[DONE]" and not block.startswith(":"):
            event = json.loads(data)
            EVENTS[event["type"]].validate_python(event)
            kinds.append(event["type"])
    assert kinds[-1] in ("response.completed", "response.incomplete"), kinds[-1]


def check_response(body: dict[str, Any]) -> None:
    assert Response.model_validate(body).status in ("completed", "incomplete", "queued"), body["status"]


def check_chunks(text: str) -> None:
    for line in text.strip().split("\n\n"):
        if line.startswith("data: {"):
            chunk = json.loads(line.removeprefix("data: "))
            for choice in chunk["choices"]:
                for made in choice["delta"].get("tool_calls") or ():
                    if made.get("type") == "custom":  # which the package's type of a chunk has forgotten
                        del made["type"]
                        assert isinstance(made["custom"]["input"], str)
            ChatCompletionChunk.model_validate(chunk)


def items_of(type_: Any, key: str) -> list[list[dict[str, Any]]]:
    """Items of every kind, in lists as long as a conversation takes; each result behind its call."""
    lists = [value for value in WALK.of_field(type_, key) if isinstance(value, list)]
    single = [item for (item,) in lists]
    groups = [[ANSWERED[item["type"]], item] if item.get("type") in ANSWERED else [item] for item in single]
    step = AT_ONCE // 2 - 1
    batches = [groups[at : at + step] for at in range(0, len(groups), step)]
    return [[item for group in batch for item in group] for batch in batches]


def fields_of(type_: Any, *but: str) -> list[str]:
    return sorted(set(WALK.fields(type_)) - {"model", *but, *REFUSED})


@pytest.mark.parametrize("field", fields_of(ResponseCreateParamsBase, "input"))
@pytest.mark.parametrize("stream", [False, True])
def test_a_response_is_made_whatever_is_in(server, field, stream):
    wrong = []
    step = 10 if stream and field == "tools" else 1  # of hundreds of tools, a stream shows little more
    for value in islice(WALK.of_field(ResponseCreateParamsBase, field), 0, None, step):
        body = {"model": NAME, "input": "Hello.", field: value, "stream": stream}
        if field == "tool_choice":
            body["tools"] = [FUNCTION]
        answer, what = sent(server, "/responses", body)
        try:
            assert answer.status_code == 200
            check_events(answer.text) if stream else check_response(answer.json())
        except (AssertionError, ValueError, KeyError) as error:
            wrong.append(f"{what}\n{error!r:.600}")
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n\n".join(wrong[:8])


@pytest.mark.parametrize(
    ("path", "type_", "key", "model"),
    [
        ("/responses", ResponseCreateParamsBase, "input", Response),
        ("/responses/input_tokens", InputTokenCountParams, "input", InputTokenCountResponse),
        ("/responses/compact", ResponseCompactParams, "input", CompactedResponse),
        ("/conversations", ConversationCreateParams, "items", Conversation),
    ],
    ids=lambda given: given if isinstance(given, str) and given.startswith("/") else "",
)
def test_every_item_is_taken(server, path, type_, key, model):
    wrong = []
    for items in items_of(type_, key):
        items = [{"role": "user", "content": "Hello."}, *items]
        body = {"model": NAME, key: items} if key == "input" else {key: items}
        answer, what = sent(server, path, body)
        try:
            assert answer.status_code == 200
            model.model_validate(without_users(answer.json()))
            check_kept(server, answer.json())
        except (AssertionError, ValueError, KeyError) as error:
            wrong.append(f"{what}\n{error!r:.900}")
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n\n".join(wrong[:8])


def without_users(body: dict[str, Any]) -> dict[str, Any]:
    """A compacted conversation without the user's messages: the package says that they are there, but its
    type has no room for them."""
    if body["object"] != "response.compaction":
        return body
    users = [item for item in body["output"] if item.get("role") == "user"]
    for item in users:
        ITEMS["message"].validate_python(item)
    return {**body, "output": [item for item in body["output"] if item not in users]}


def check_kept(server: SimpleNamespace, body: dict[str, Any]) -> None:
    """The items that are kept can be listed, and read."""
    lists = {
        "response": (f"/responses/{body.get('id')}/input_items", ITEMS),
        "conversation": (f"/conversations/{body.get('id')}/items", KEPT),
    }
    if body["object"] in lists:
        path, classes = lists[body["object"]]
        answer = server.client.get(path, params={"limit": 100})
        assert answer.status_code == 200
        for item in answer.json()["data"]:
            if item["type"] in OURS and not isinstance(item.get("output"), list):
                classes[item["type"]].validate_python(item)


@pytest.mark.parametrize(
    ("path", "type_", "model"),
    [
        ("/responses/input_tokens", InputTokenCountParams, InputTokenCountResponse),
        ("/responses/compact", ResponseCompactParams, CompactedResponse),
        ("/conversations", ConversationCreateParams, Conversation),
    ],
)
def test_the_other_requests_take_every_field(server, path, type_, model):
    wrong = []
    for field in fields_of(type_, "input", "items"):
        for value in WALK.of_field(type_, field):
            body = {} if path == "/conversations" else {"model": NAME, "input": "Hello."}
            if field == "tool_choice":
                body["tools"] = [FUNCTION]
            answer, what = sent(server, path, {**body, field: value})
            try:
                assert answer.status_code == 200
                model.model_validate(without_users(answer.json()))
            except (AssertionError, ValueError) as error:
                wrong.append(f"{what}\n{error!r:.600}")
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n\n".join(wrong[:8])


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("/responses/RESPONSE", ResponseRetrieveParamsBase),
        ("/responses/RESPONSE", ResponseRetrieveParamsStreaming),
        ("/responses/RESPONSE/input_items", InputItemListParams),
        ("/conversations/CONVERSATION/items", ItemListParams),
    ],
)
def test_what_is_kept_is_read_with_every_question(server, path, type_):
    for name, id in server.names.items():
        path = path.replace(name, id)
    for field in set(WALK.fields(type_)) - {"after"}:  # an item that is not there is refused
        for value in WALK.of_field(type_, field):
            asked = {f"{field}[]" if isinstance(value, list) else field: value}
            streams = {"stream": True} if type_ is ResponseRetrieveParamsStreaming else {}
            answer = server.client.get(path, params={**asked, **streams})
            assert answer.status_code == 200, f"{asked}: {answer.text}"
            if answer.headers["content-type"].startswith("text/event-stream"):
                check_events(answer.text)


@pytest.mark.parametrize("field", fields_of(CompletionCreateParamsBase))
@pytest.mark.parametrize("stream", [False, True])
def test_a_completion_is_made_whatever_is_in(server, field, stream):
    wrong = []
    for value in WALK.of_field(CompletionCreateParamsBase, field):
        body = {"model": NAME, "messages": [{"role": "user", "content": "Hello."}], **around(field)}
        body |= {field: value, "stream": stream}
        if field == "messages":
            body[field] = spoken(value)
        answer, what = sent(server, "/chat/completions", body)
        try:
            assert answer.status_code == 200
            check_chunks(answer.text) if stream else ChatCompletion.model_validate(answer.json())
        except (AssertionError, ValueError) as error:
            wrong.append(f"{what}\n{error!r:.600}")
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n\n".join(wrong[:8])


def spoken(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages as OpenAI takes them: no result without its call, and no assistant that says nothing."""
    (message,) = messages
    if message["role"] in ASKED:
        return [{"role": "assistant", **ASKED[message["role"]]}, message]
    if message["role"] == "assistant" and not any(message.get(key) for key in SAYINGS):
        return [{**message, "content": "text"}]
    return messages


def around(field: str) -> dict[str, Any]:
    """What a field of a completion cannot be without."""
    function = {"name": "text", "parameters": SCHEMA}
    return {
        "tool_choice": {"tools": [{"type": "function", "function": function}]},
        "function_call": {"functions": [function]},
        "top_logprobs": {"logprobs": True},
    }.get(field, {})
