"""A key that may not see reasoning, and everywhere a chain of thought could show: every dialect, streamed and
whole, with all that may be asked about tokens, and everything that is stored and read again.
"""

import json
from collections.abc import Iterator

import httpx
import pytest
from puppet import NAME, Puppet, call, final, hosted, service_of
from websockets.sync.client import connect

from ossia.server.front.gate import Access
from ossia.server.operations.keys import KeyRing, create
from ossia.server.store.store import Store

THOUGHT = "secret"
LETTERS = ",".join(str(byte) for byte in THOUGHT.encode())
FUNCTION = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
}
TALK = {"messages": [{"role": "user", "content": "What is it?"}]}
FORMAT = {"type": "json_schema", "name": "told", "schema": {"type": "object"}}
EVERYTHING = {
    "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
    "top_logprobs": 3,
    "reasoning": {"effort": "high", "summary": "detailed"},
}
ASKED = [
    ("/v1/responses", {"input": "What is it?", "tools": [FUNCTION], **EVERYTHING}),
    ("/v1/responses", {"input": "What is it?", "text": {"format": FORMAT}, **EVERYTHING}),
    ("/v1/responses", {"input": "What is it?", "store": False, "return_progress": True}),
    ("/openresponses/v1/responses", {"input": "What is it?", **EVERYTHING}),
    ("/v1/chat/completions", {**TALK, "logprobs": True, "top_logprobs": 3, "n": 2}),
    ("/v1/chat/completions", {**TALK, "tools": [{"type": "function", "function": FUNCTION}]}),
    ("/v1/chat/completions", {**TALK, "functions": [FUNCTION]}),
    ("/v1/chat/completions", {**TALK, "response_format": {"type": "json_object"}, "logprobs": True}),
    ("/v1/chat/completions", {**TALK, "include_reasoning": True, "stream_options": {"include_usage": True}}),
    ("/api/chat", {**TALK, "think": "high", "logprobs": True, "top_logprobs": 3}),
    ("/api/chat", {**TALK, "tools": [{"type": "function", "function": FUNCTION}], "think": True}),
    ("/api/chat", {**TALK, "format": "json", "think": True}),
    ("/api/generate", {"prompt": "What is it?", "think": True, "logprobs": True}),
]


def said(prompt: str) -> str:
    """The puppet thinks, and calls where it may, once."""
    if "type look = " in prompt and "functions.look to=assistant" not in prompt:
        return call("functions.look", {"at": "it"}, thought=f"A {THOUGHT} {THOUGHT}.")
    return final('{"answer": "it"}', f"A {THOUGHT} {THOUGHT}.")


@pytest.fixture(scope="module")
def puppet() -> Puppet:
    return Puppet(said)


@pytest.fixture(scope="module")
def blind(puppet: Puppet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Somebody whose key does not show reasoning."""
    folder = tmp_path_factory.mktemp("server")
    key = create(folder / "keys", "blind", sees_reasoning=False)
    sees = create(folder / "keys", "sees", sees_reasoning=True)
    service = service_of(puppet, store=Store.open(folder / "ossia.db"))
    headers = {"authorization": f"Bearer {key}"}
    with (
        hosted(service, Access(KeyRing(folder / "keys"))) as server,
        httpx.Client(base_url=server.url, headers=headers, timeout=20) as client,
    ):
        for path, asked in ASKED:  # to others it is shown, or nothing here would be a test
            body = {"model": NAME, **asked, "stream": True}
            shown = client.post(path, json=body, headers={"authorization": f"Bearer {sees}"})
            assert THOUGHT in shown.text, (path, asked)
        yield client


def check(text: str, puppet: Puppet) -> None:
    """Nothing of the thought is in `text`: no word, no bytes, no ids."""
    assert THOUGHT not in text
    assert LETTERS not in text.replace(" ", "")
    (id,) = puppet.tok.encode(f" {THOUGHT}")
    for line in text.splitlines():
        if line.startswith("{"):
            assert id not in json.loads(line).get("context", ())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "asked"), ASKED)
def test_no_dialect_shows_the_chain_of_thought(blind, puppet, path, asked, stream):
    answer = blind.post(path, json={"model": NAME, **asked, "stream": stream})
    assert answer.status_code == 200, answer.text
    assert "it" in answer.text
    check(answer.text, puppet)


def test_nothing_that_is_kept_shows_it(blind, puppet):
    held = blind.post("/v1/conversations", json={}).json()["id"]
    asked = {"model": NAME, "input": "What is it?", "conversation": held, **EVERYTHING, "background": True}
    streamed = blind.post("/v1/responses", json={**asked, "stream": True})
    first = json.loads(streamed.text.partition("data: ")[2].partition("\n")[0])["response"]["id"]
    told = {"model": NAME, "input": "And then?", "previous_response_id": first}
    second = blind.post("/v1/responses", json=told).json()["id"]
    read = [
        f"/v1/responses/{first}",
        f"/v1/responses/{first}?stream=true",
        f"/v1/responses/{first}?stream=true&starting_after=3",
        f"/v1/responses/{second}/input_items",
        f"/v1/conversations/{held}/items?limit=100",
    ]
    items = blind.get(read[-1]).json()["data"]
    read += [f"/v1/conversations/{held}/items/{item['id']}" for item in items]
    assert "reasoning" in {item["type"] for item in items}
    for path in read:
        answer = blind.get(path)
        assert answer.status_code == 200, answer.text
        check(answer.text, puppet)
    check(blind.post(f"/v1/responses/{first}/cancel").text, puppet)
    check(blind.post("/v1/responses/compact", json=told).text, puppet)
    assert blind.get(f"/v1/responses/{first}/harmony").status_code == 403


def test_a_thought_that_comes_back_sealed_is_not_shown_either(blind, puppet):
    asked = {"model": NAME, "input": "What is it?", **EVERYTHING, "store": False}
    made = blind.post("/v1/responses", json=asked).json()
    (thought,) = [item for item in made["output"] if item["type"] == "reasoning"]
    assert thought["encrypted_content"]
    again = [{"role": "user", "content": "What is it?"}, *made["output"], {"role": "user", "content": "So?"}]
    kept = blind.post("/v1/responses", json={"model": NAME, "input": again})
    check(kept.text, puppet)
    check(blind.get(f"/v1/responses/{kept.json()['id']}/input_items?limit=100").text, puppet)
    check(blind.post("/v1/conversations", json={"items": again}).text, puppet)


def test_a_socket_does_not_show_it(blind, puppet):
    url = str(blind.base_url).replace("http", "ws").rstrip("/") + "/v1/responses"
    with connect(url, additional_headers={"authorization": blind.headers["authorization"]}) as socket:
        asked = {"type": "response.create", "model": NAME, "input": "What is it?", **EVERYTHING}
        socket.send(json.dumps(asked))
        while True:
            event = socket.recv(20)
            check(event, puppet)
            if json.loads(event)["type"] in ("response.completed", "error"):
                break
    assert json.loads(event)["type"] == "response.completed"
