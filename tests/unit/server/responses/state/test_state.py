"""What outlives a request: found after a restart, by its owner alone, and never half."""

import asyncio
import json
import socket
import time

import httpx2
import pytest
from puppet import NAME, Puppet, call, final, running, service_of

from ossia.server.operations.caller import Caller
from ossia.server.responses.state.answers import Answers
from ossia.server.store.records import StoredResponse
from ossia.server.store.store import Store

TOOL = {"type": "function", "name": "rain", "parameters": {"type": "object", "properties": {}}}


def rain(prompt: str) -> str:
    return (
        final("Yes.", "It rains.")
        if "functions.rain to=assistant" in prompt
        else call("functions.rain", {}, "Look it up.")
    )


def said(puppet: Puppet, at: int = 0) -> list[int]:
    """The ids of a prompt and of what was said to it."""
    return [*puppet.prompts[at], *puppet.ids(rain(puppet.prompt_text(at)))]


def test_a_chain_goes_on_after_a_restart_id_for_id(serving):
    puppet = Puppet(rain)
    with serving(puppet) as client:
        first = client.post("/responses", json={"model": NAME, "input": "Rain?", "tools": [TOOL]}).json()
    made = first["output"][-1]
    result = [{"type": "function_call_output", "call_id": made["call_id"], "output": "yes"}]
    with serving(puppet) as client:
        body = {"model": NAME, "input": result, "tools": [TOOL], "previous_response_id": first["id"]}
        second = client.post("/responses", json=body).json()
        assert puppet.prompts[1][: len(said(puppet))] == said(puppet)
        third = client.post(
            "/responses", json={"model": NAME, "input": "Sure?", "previous_response_id": second["id"]}
        ).json()
        text = puppet.prompt_text()
        assert "It rains." not in text  # the turn is over: its thought is dropped
        assert "Yes.<|end|><|start|>user<|message|>Sure?" in text
        assert third["previous_response_id"] == second["id"]


def test_a_conversation_goes_on_after_a_restart_id_for_id(serving):
    puppet = Puppet(rain)
    with serving(puppet) as client:
        room = client.post("/conversations", json={}).json()["id"]
        body = {"model": NAME, "input": "Rain?", "tools": [TOOL], "conversation": room}
        made = client.post("/responses", json=body).json()["output"][-1]
    result = [{"type": "function_call_output", "call_id": made["call_id"], "output": "yes"}]
    with serving(puppet) as client:
        client.post("/responses", json={**body, "input": result})
        assert puppet.prompts[1][: len(said(puppet))] == said(puppet)


def test_what_leads_a_conversation_is_inherited_and_instructions_are_not(serving):
    puppet = Puppet(lambda _: final("Yes."))
    with serving(puppet) as client:
        lead = [{"role": "developer", "content": "Speak Korean."}, {"role": "user", "content": "Hi."}]
        first = client.post("/responses", json={"model": NAME, "input": lead, "instructions": "Be brief."})
        body = {"model": NAME, "input": "And?", "previous_response_id": first.json()["id"]}
        client.post("/responses", json=body)
    assert "Be brief.\n\nSpeak Korean." in puppet.prompt_text(0)
    assert "# Instructions\n\nSpeak Korean.<|end|>" in puppet.prompt_text(1)


def test_a_response_whose_server_died_is_found_as_failed(serving, tmp_path):
    async def leave_half() -> None:
        store = Store.open(tmp_path / "ossia.db")
        body = {"id": "resp_half", "status": "in_progress", "output": [], "error": None}
        await store.put_response(
            StoredResponse("resp_half", "", 1, "in_progress", None, None, body, [], [], "")
        )
        await store.close()

    asyncio.run(leave_half())
    with serving(Puppet(rain)) as client:
        found = client.get("/responses/resp_half").json()
        assert (found["status"], found["error"]["code"]) == ("failed", "server_error")
        events = client.get("/responses/resp_half?stream=true&starting_after=7").text
        assert events.startswith(
            'event: response.failed\ndata: {"type":"response.failed","sequence_number":8'
        )
        assert events.endswith("data: [DONE]\n\n")


def test_an_old_response_is_told_as_a_beginning_and_an_end(serving):
    with serving(Puppet(lambda _: final("Yes."))) as client:
        made = client.post("/responses", json={"model": NAME, "input": "Hi."}).json()
    with serving(Puppet(rain)) as client:
        text = client.get(f"/responses/{made['id']}?stream=true").text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    assert [event["type"].split(".")[1] for event in events] == ["created", "in_progress", "completed"]
    assert events[-1]["response"] == made


def test_a_request_that_is_refused_leaves_nothing(serving, tmp_path):
    with serving(Puppet(rain, context_length=20)) as client:
        for more in ({}, {"stream": True}):
            refused = client.post("/responses", json={"model": NAME, "input": "Hi.", **more})
            assert refused.status_code == 400
            assert refused.json()["error"]["code"] == "context_length_exceeded"

    async def count() -> int:
        store = Store.open(tmp_path / "ossia.db")
        found, _ = await store.list_responses("", after=None, limit=10, order="asc")
        await store.close()
        return len(found)

    assert asyncio.run(count()) == 0


def test_in_the_background_a_failure_is_told_in_the_response(serving):
    with serving(Puppet(rain, context_length=20)) as client:
        begun = client.post("/responses", json={"model": NAME, "input": "Hi.", "background": True}).json()
        assert begun["status"] == "queued"
        events = client.get(f"/responses/{begun['id']}?stream=true").text
        assert "context_length_exceeded" in events
        assert client.get(f"/responses/{begun['id']}").json()["status"] == "failed"


def test_another_owner_finds_nothing(tmp_path):
    async def go() -> None:
        service = service_of(Puppet(rain), store=Store.open(tmp_path / "ossia.db"))
        answers = Answers(service)
        run = await answers.begin(Caller("ann"), {"model": NAME, "input": "Rain?", "tools": [TOOL]})
        await run.result()
        assert (await answers.archive.response("ann", run.id)).body["status"] == "completed"
        assert await answers.archive.find("bob", run.id) is None
        item = run.response["output"][0]["id"]
        assert item in await answers.archive.items_beside("ann", item)
        assert await answers.archive.items_beside("bob", item) == {}
        await service.close()

    asyncio.run(go())


def test_one_response_at_a_time_is_added_to_a_conversation(serving):
    puppet = Puppet(lambda _: final(" ".join(map(str, range(900)))), seconds_per_token=0.001)
    with serving(puppet) as client:
        room = client.post("/conversations", json={}).json()["id"]
        body = {"model": NAME, "input": "Hi.", "conversation": room}
        begun = client.post("/responses", json={**body, "background": True}).json()
        refused = client.post("/responses", json=body)
        assert refused.status_code == 409
        busy = client.post(
            "/responses", json={"model": NAME, "input": "Hi.", "previous_response_id": begun["id"]}
        )
        assert busy.status_code == 409
        client.post(f"/responses/{begun['id']}/cancel")
        assert client.get(f"/conversations/{room}/items").json()["data"] == []
        puppet._pause = 0
        assert client.post("/responses", json={**body, "input": 7}).status_code == 400
        assert client.post("/responses", json=body).status_code == 200
        assert len(client.get(f"/conversations/{room}/items").json()["data"]) == 2


def test_a_conversation_deleted_meanwhile_fails_what_was_added(serving):
    puppet = Puppet(lambda _: final("word " * 100), seconds_per_token=0.001)
    with serving(puppet) as client:
        room = client.post("/conversations", json={}).json()["id"]
        body = {"model": NAME, "input": "Hi.", "conversation": room, "background": True}
        begun = client.post("/responses", json=body).json()
        client.delete(f"/conversations/{room}")
        client.get(f"/responses/{begun['id']}?stream=true").read()
        assert client.get(f"/responses/{begun['id']}").json()["status"] == "failed"


def test_a_server_that_stops_ends_what_runs_in_the_background(serving):
    puppet = Puppet(lambda _: final(" ".join(map(str, range(5000)))), seconds_per_token=0.01)
    with serving(puppet) as client:
        begun = client.post("/responses", json={"model": NAME, "input": "Hi.", "background": True}).json()
        time.sleep(0.1)
    with serving(puppet) as client:
        assert client.get(f"/responses/{begun['id']}").json()["status"] == "failed"


def test_raw_reasoning_is_kept_from_those_who_may_not_see_it(tmp_path):
    async def go() -> None:
        service = service_of(Puppet(lambda _: final("Yes.", "Secret.")))
        answers = Answers(service)
        run = await answers.begin(Caller(sees_reasoning=False), {"model": NAME, "input": "Hi."})
        assert "Secret." not in json.dumps(await run.result())
        await service.close()

    asyncio.run(go())


def test_include_seals_reasoning_afterwards(serving):
    puppet = Puppet(rain)
    with serving(puppet) as client:
        made = client.post("/responses", json={"model": NAME, "input": "Rain?", "tools": [TOOL]}).json()
        assert "encrypted_content" not in made["output"][0]
        found = client.get(
            f"/responses/{made['id']}", params={"include[]": "reasoning.encrypted_content"}
        ).json()
        again = [{"type": "reasoning", "summary": [], **found["output"][0], "content": []}]
        client.post("/responses", json={"model": NAME, "input": [*again, {"role": "user", "content": "Hm?"}]})
    assert "<|channel|>analysis<|message|>Look it up.<|end|>" in puppet.prompt_text()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/responses/resp_x", 404),
        ("DELETE", "/responses/resp_x", 404),
        ("POST", "/responses/resp_x/cancel", 404),
        ("GET", "/responses/resp_x/input_items", 404),
        ("GET", "/responses/resp_x/harmony", 404),
        ("GET", "/conversations/conv_x", 404),
        ("POST", "/conversations/conv_x", 404),
        ("DELETE", "/conversations/conv_x", 404),
        ("GET", "/conversations/conv_x/items", 404),
        ("GET", "/conversations/conv_x/items/msg_x", 404),
        ("POST", "/responses/compact", 400),
    ],
)
def test_what_is_not_there_is_not_found(method, path, status):
    with running(service_of(Puppet(rain))) as url:
        response = httpx2.request(
            method, f"{url}/v1{path}", json={"model": NAME} if method == "POST" else None
        )
        assert response.status_code == status
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "body",
    [
        {"conversation": 7},
        {"conversation": {"id": []}},
        {"input": [{"type": "item_reference", "id": "msg_x"}]},
        {"input": 7},
        {"previous_response_id": "resp_x", "conversation": "conv_x"},
    ],
)
def test_an_impossible_past_is_refused(serving, body):
    with serving(Puppet(rain)) as client:
        refused = client.post("/responses", json={"model": NAME, **body})
        assert 400 <= refused.status_code < 500
        assert refused.json()["error"]["message"]


def test_references_are_resolved_from_the_store(serving):
    puppet = Puppet(rain)
    with serving(puppet) as client:
        made = client.post("/responses", json={"model": NAME, "input": "Rain?", "tools": [TOOL]}).json()
    with serving(puppet) as client:
        refs = [{"id": item["id"]} for item in made["output"]]
        result = {"type": "function_call_output", "call_id": made["output"][-1]["call_id"], "output": "yes"}
        given = [{"role": "user", "content": "Rain?"}, *refs, result]
        client.post("/responses", json={"model": NAME, "input": given, "tools": [TOOL]})
    assert "Look it up." in puppet.prompt_text()
    assert "functions.rain to=assistant<|channel|>commentary<|message|>yes<|end|>" in puppet.prompt_text()


def test_clients_that_leave_at_once_leave_nothing_behind(serving):
    puppet = Puppet(lambda _: final(" ".join(map(str, range(3000)))), seconds_per_token=0.005)
    with serving(puppet) as client:
        address = (client.base_url.host, client.base_url.port)
        for wait in range(12):
            body = json.dumps(
                {"model": NAME, "input": "Hi.", "stream": wait % 2 == 0, "store": wait % 3 == 0}
            )
            head = f"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            with socket.create_connection(address) as connection:
                connection.sendall((head + body).encode())
                time.sleep(wait / 500)
        deadline = time.monotonic() + 10
        while puppet.left < len(puppet.prompts) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert puppet.left == len(puppet.prompts)
