"""openai-python against the real server: what responses leave behind, and what may be done with it."""

import asyncio
import threading
import time
from pathlib import Path

import openai
import pytest
from agents import Agent, OpenAIConversationsSession, OpenAIResponsesModel, RunConfig, Runner, function_tool
from puppet import Puppet, call, final, hosted, running, service_of

from ossia.server.front.gate import Access
from ossia.server.operations.keys import KeyRing, create
from ossia.server.store.store import Store

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
MODEL = "openai/gpt-oss-20b"


def answer(prompt: str) -> str:
    """What the puppet says: it is slow to think where it is told to, and calls where it may."""
    last = prompt.rsplit("<|message|>", 1)[-1]
    if "slowly" in last:
        return final("Done.", " ".join(map(str, range(4000))))
    if "namespace functions" in prompt and "functions.get_weather to=assistant" not in prompt:
        return call("functions.get_weather", {"place": "Busan"}, thought="Look it up.")
    if "Summarize" in last:
        return final("They asked about rain.")
    return final(f"You said: {last.split('<|end|>')[0][:40]}", "Let me see.")


@pytest.fixture
def puppet() -> Puppet:
    return Puppet(answer, seconds_per_token=0.0)


def connected(url: str, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


@pytest.fixture
def client(puppet: Puppet, tmp_path: Path):
    service = service_of(puppet, store=Store.open(tmp_path / "ossia.db"))
    with running(service) as url, connected(url) as client:
        yield client


def test_a_response_is_retrieved_and_deleted(client):
    made = client.responses.create(model=MODEL, input="Hello.", metadata={"a": "b"})
    found = client.responses.retrieve(made.id)
    assert found.model_dump() == made.model_dump()
    assert found.output_text == "You said: Hello."
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.retrieve(made.id)
    assert missing.value.body["message"].startswith(f"Response with id '{made.id}' not found.")
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(made.id)


def test_a_stream_is_followed_again_from_where_it_was_left(client):
    first = list(client.responses.create(model=MODEL, input="Hello.", stream=True))
    id = first[0].response.id
    assert [e.sequence_number for e in first] == list(range(len(first)))
    again = list(client.responses.retrieve(id, stream=True))
    assert [e.model_dump() for e in again] == [e.model_dump() for e in first]
    rest = list(client.responses.retrieve(id, stream=True, starting_after=3))
    assert [e.model_dump() for e in rest] == [e.model_dump() for e in first[4:]]


def test_a_background_response_is_polled_and_its_stream_joined(client):
    begun = client.responses.create(model=MODEL, input="Hello.", background=True)
    assert begun.status == "queued"
    events = list(client.responses.retrieve(begun.id, stream=True))
    assert [e.type for e in events[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert events[-1].type == "response.completed"
    done = client.responses.retrieve(begun.id)
    assert (done.status, done.output_text) == ("completed", "You said: Hello.")


def test_a_background_stream_goes_on_without_its_reader(client, puppet):
    puppet._pause = 0.001
    stream = client.responses.create(model=MODEL, input="Think slowly.", background=True, stream=True)
    seen = [next(stream) for _ in range(10)]
    stream.close()
    time.sleep(0.2)
    assert client.responses.retrieve(seen[0].response.id).status == "in_progress"
    assert puppet.left == 0
    done = client.responses.cancel(seen[0].response.id)
    assert done.status == "cancelled"
    rest = list(client.responses.retrieve(done.id, stream=True, starting_after=seen[-1].sequence_number))
    assert rest[0].sequence_number == 10
    assert rest[-1].response.status == "cancelled"
    assert puppet.left == 1
    assert client.responses.cancel(done.id).status == "cancelled"


def test_a_foreground_response_ends_with_its_client(client, puppet):
    puppet._pause = 0.001
    stream = client.responses.create(model=MODEL, input="Think slowly.", stream=True)
    seen = [next(stream) for _ in range(10)]
    id = seen[0].response.id
    stream.close()
    deadline = time.monotonic() + 5
    while puppet.left == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert puppet.left == 1
    while client.responses.retrieve(id).status == "in_progress" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert client.responses.retrieve(id).status == "cancelled"


def test_a_client_that_leaves_an_unstreamed_request_stops_it(client, puppet):
    puppet._pause = 0.001
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3).responses.create(model=MODEL, input="Think slowly.")
    deadline = time.monotonic() + 5
    while puppet.left == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert puppet.left == 1


def test_the_conversation_goes_on_behind_a_previous_response(client, puppet):
    first = client.responses.create(model=MODEL, input="Rain?", tools=[WEATHER], instructions="Be brief.")
    (made,) = [item for item in first.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": made.call_id, "output": "yes"}
    client.responses.create(model=MODEL, input=[result], previous_response_id=first.id, tools=[WEATHER])
    said = puppet.ids(puppet._answer(puppet.prompt_text(0)))
    behind = puppet.tok.decode(puppet.prompts[0]).split("<|start|>user", 1)[1]
    assert behind in puppet.prompt_text(1)
    joined = puppet.tok.decode([*puppet.prompts[0], *said]).split("<|start|>user", 1)[1]
    assert joined in puppet.prompt_text(1)
    assert "Be brief." not in puppet.prompt_text(1)


def test_what_was_never_stored_cannot_be_gone_on_from(client):
    loose = client.responses.create(model=MODEL, input="Hello.", store=False)
    assert loose.store is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(loose.id)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=MODEL, input="And?", previous_response_id=loose.id)
    assert refused.value.code == "previous_response_not_found"
    assert refused.value.param == "previous_response_id"


def test_input_items_come_in_pages(client):
    given = [{"role": "user", "content": f"Part {i}."} for i in range(5)]
    made = client.responses.create(model=MODEL, input=given)
    page = client.responses.input_items.list(made.id, limit=2, order="asc")
    assert [item.content[0].text for item in page.data] == ["Part 0.", "Part 1."]
    assert page.has_more
    assert [item.content[0].text for item in client.responses.input_items.list(made.id, limit=2)] == [
        f"Part {i}." for i in (4, 3, 2, 1, 0)
    ]


def test_encrypted_reasoning_goes_round(client, puppet):
    asked = {"model": MODEL, "store": False, "include": ["reasoning.encrypted_content"], "tools": [WEATHER]}
    first = client.responses.create(input="Rain?", **asked)
    assert first.output[0].encrypted_content
    items = [item.model_dump(exclude_none=True) for item in first.output]
    items[0].pop("content")
    (made,) = [item for item in first.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": made.call_id, "output": "yes"}
    client.responses.create(input=[{"role": "user", "content": "Rain?"}, *items, result], **asked)
    said = puppet.ids(puppet._answer(puppet.prompt_text(0)))
    before = [*puppet.prompts[0], *said]
    assert puppet.prompts[1][: len(before)] == before
    items[0]["encrypted_content"] = items[0]["encrypted_content"][:-4] + "AAAA"
    with pytest.raises(openai.BadRequestError) as forged:
        client.responses.create(input=[{"role": "user", "content": "Rain?"}, *items, result], **asked)
    assert forged.value.code == "invalid_encrypted_content"


def test_item_references_are_what_they_refer_to(client, puppet):
    first = client.responses.create(model=MODEL, input="Rain?", tools=[WEATHER])
    refs = [{"type": "item_reference", "id": item.id} for item in first.output]
    (made,) = [item for item in first.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": made.call_id, "output": "yes"}
    again = [{"role": "user", "content": "Rain?"}, *refs, result]
    client.responses.create(model=MODEL, input=again, tools=[WEATHER])
    before = [*puppet.prompts[0], *puppet.ids(puppet._answer(puppet.prompt_text(0)))]
    assert puppet.prompts[1][: len(before)] == before


def test_input_tokens_are_those_of_the_prompt(client, puppet):
    counted = client.responses.input_tokens.count(model=MODEL, input="Hello.", tools=[WEATHER])
    made = client.responses.create(model=MODEL, input="Hello.", tools=[WEATHER])
    assert counted.input_tokens == made.usage.input_tokens == len(puppet.prompts[0])
    assert client.responses.input_tokens.count(input="Hello.").input_tokens < counted.input_tokens


def test_a_compacted_conversation_goes_on(client, puppet):
    first = client.responses.create(model=MODEL, input="Will it rain?")
    small = client.responses.compact(model=MODEL, previous_response_id=first.id, input="In Busan.")
    assert [item.type for item in small.output] == ["message", "message", "compaction"]
    assert "rain" not in small.output[2].encrypted_content
    items = [item.to_dict(warnings=False) for item in small.output]
    client.responses.create(model=MODEL, input=[*items, {"role": "user", "content": "So?"}])
    text = puppet.prompt_text()
    assert "In Busan.<|end|><|start|>assistant<|channel|>final<|message|>Summary of our conversation" in text
    assert "They asked about rain.<|end|><|start|>user<|message|>So?<|end|>" in text


def test_conversations_are_made_changed_and_deleted(client):
    made = client.conversations.create(metadata={"topic": "rain"}, items=[{"role": "user", "content": "Hi."}])
    assert client.conversations.retrieve(made.id).metadata == {"topic": "rain"}
    assert client.conversations.update(made.id, metadata={"topic": "snow"}).metadata == {"topic": "snow"}
    more = client.conversations.items.create(made.id, items=[{"role": "user", "content": "Ho."}])
    assert more.data[0].content[0].text == "Ho."
    listed = client.conversations.items.list(made.id, order="asc", limit=1)
    assert [item.content[0].text for item in listed] == ["Hi.", "Ho."]
    item = client.conversations.items.retrieve(more.data[0].id, conversation_id=made.id)
    assert item.content[0].text == "Ho."
    assert client.conversations.items.delete(item.id, conversation_id=made.id).id == made.id
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.retrieve(item.id, conversation_id=made.id)
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


def test_responses_go_on_in_a_conversation(client, puppet):
    room = client.conversations.create(items=[{"role": "developer", "content": "Be brief."}])
    first = client.responses.create(model=MODEL, input="Rain?", conversation=room.id, tools=[WEATHER])
    assert first.conversation.id == room.id
    (made,) = [item for item in first.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": made.call_id, "output": "yes"}
    client.responses.create(model=MODEL, input=[result], conversation={"id": room.id}, tools=[WEATHER])
    before = [*puppet.prompts[0], *puppet.ids(puppet._answer(puppet.prompt_text(0)))]
    assert puppet.prompts[1][: len(before)] == before
    types = [item.type for item in client.conversations.items.list(room.id, order="asc")]
    asked, called = ["message", "message"], ["reasoning", "function_call"]
    assert types == [*asked, *called, "function_call_output", "reasoning", "message"]
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=MODEL, input="Hi.", conversation="conv_none")
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model=MODEL, input="Hi.", conversation=room.id, previous_response_id=first.id)
    client.responses.create(model=MODEL, input="Fork.", previous_response_id=first.id)
    assert "Be brief." in puppet.prompt_text()
    assert "Rain?" in puppet.prompt_text()


def test_the_exact_ids_are_told(client, puppet):
    made = client.responses.create(model=MODEL, input="Hello.")
    told = client.get(f"/responses/{made.id}/harmony", cast_to=dict)
    (step,) = told["steps"]
    assert step["prompt"] == {"ids": puppet.prompts[0], "text": puppet.prompt_text()}
    assert step["output"]["ids"] == puppet.ids(puppet._answer(puppet.prompt_text()))
    assert step["output"]["text"].endswith("You said: Hello.<|return|>")


def test_a_websocket_answers_lane_by_lane(client, puppet):
    with client.responses.connect() as connection:
        connection.response.create(model=MODEL, input="Rain?", tools=[WEATHER], store=False)
        events = []
        for event in connection:
            events.append(event)
            if event.type == "response.completed":
                break
        assert events[0].type == "response.created"
        first = events[-1].response
        (made,) = [item for item in first.output if item.type == "function_call"]
        result = {"type": "function_call_output", "call_id": made.call_id, "output": "yes"}
        connection.response.create(
            model=MODEL, input=[result], previous_response_id=first.id, tools=[WEATHER], stream_id="b"
        )
        for event in connection:
            assert event.stream_id == "b"
            if event.type == "response.completed":
                break
        before = [*puppet.prompts[0], *puppet.ids(puppet._answer(puppet.prompt_text(0)))]
        assert puppet.prompts[1][: len(before)] == before
        connection.response.create(model=MODEL, input="Hi.", previous_response_id="resp_none")
        assert connection.recv().error.code == "previous_response_not_found"
        connection.response.create(model="none", input="Hi.")
        assert connection.recv().status == 404
        connection.response.steer(input="Stop.", previous_response_id=first.id)
        assert connection.recv().error.code == "steering_not_supported"
        connection.send_raw("no JSON")
        assert connection.recv().status == 400
        connection.response.create(model=MODEL, input="Remember this.", generate=False)
        connection.recv()
        noted = connection.recv().response
        connection.response.create(model=MODEL, input="Go on.", previous_response_id=noted.id)
        while connection.recv().type != "response.completed":
            pass
        assert "Remember this." in puppet.prompt_text()


def test_a_websocket_that_goes_away_stops_what_was_under_way(client, puppet):
    puppet._pause = 0.001
    with client.responses.connect() as connection:
        connection.response.create(model=MODEL, input="Think slowly.")
        for _ in range(10):
            connection.recv()
    deadline = time.monotonic() + 5
    while puppet.left == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert puppet.left == 1


def test_the_open_responses_path_has_the_same(client):
    other = client.with_options(base_url=str(client.base_url).replace("/v1", "/openresponses/v1"))
    made = other.responses.create(model=MODEL, input="Hello.")
    assert other.responses.retrieve(made.id).output_text == "You said: Hello."


def test_without_a_store_state_lives_in_memory(puppet):
    with running(service_of(puppet)) as url, connected(url) as client:
        first = client.responses.create(model=MODEL, input="Hello.")
        assert first.store is False
        assert client.responses.retrieve(first.id).output_text == "You said: Hello."
        client.responses.create(model=MODEL, input="And?", previous_response_id=first.id)
        assert "You said: Hello." in puppet.prompt_text()
        with pytest.raises(openai.BadRequestError, match="stores nothing"):
            client.conversations.create()


def test_many_follow_one_response(client, puppet):
    puppet._pause = 0.002
    begun = client.responses.create(model=MODEL, input="Hello there.", background=True)
    seen: list[list[int]] = []

    def read() -> None:
        events = client.responses.retrieve(begun.id, stream=True)
        seen.append([event.sequence_number for event in events])

    threads = [threading.Thread(target=read) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(seen) == 5
    assert all(numbers == list(range(len(seen[0]))) for numbers in seen)


def test_one_owner_never_finds_what_is_anothers(puppet, tmp_path):
    ann, bob = (create(tmp_path / "keys", name) for name in ("ann", "bob"))
    access = Access(KeyRing(tmp_path / "keys"))
    service = service_of(puppet, store=Store.open(tmp_path / "ossia.db"))
    with hosted(service, access) as at, connected(at.url, ann) as hers, connected(at.url, bob) as his:
        made = hers.responses.create(model=MODEL, input="Hi.", include=["reasoning.encrypted_content"])
        room = hers.conversations.create(items=[{"role": "user", "content": "Hi."}])
        for look in (
            lambda: his.responses.retrieve(made.id),
            lambda: list(his.responses.retrieve(made.id, stream=True)),
            lambda: his.responses.cancel(made.id),
            lambda: his.responses.delete(made.id),
            lambda: his.responses.input_items.list(made.id),
            lambda: his.get(f"/responses/{made.id}/harmony", cast_to=dict),
            lambda: his.conversations.retrieve(room.id),
            lambda: his.conversations.items.list(room.id),
            lambda: his.conversations.delete(room.id),
            lambda: his.responses.create(model=MODEL, input="Hi.", conversation=room.id),
            lambda: his.responses.create(
                model=MODEL, input=[{"type": "item_reference", "id": made.output[0].id}]
            ),
        ):
            with pytest.raises(openai.NotFoundError):
                look()
        with pytest.raises(openai.BadRequestError) as refused:
            his.responses.create(model=MODEL, input="Hi.", previous_response_id=made.id)
        assert refused.value.code == "previous_response_not_found"
        with pytest.raises(openai.BadRequestError) as foreign:
            his.responses.create(model=MODEL, input=[made.output[0].to_dict()])
        assert foreign.value.code == "invalid_encrypted_content"
        assert hers.responses.retrieve(made.id).status == "completed"


def test_a_key_that_may_not_see_reasoning_never_does(puppet, tmp_path):
    blind = create(tmp_path / "keys", "blind", sees_reasoning=False)
    access = Access(KeyRing(tmp_path / "keys"))
    service = service_of(puppet, store=Store.open(tmp_path / "ossia.db"))
    with hosted(service, access) as at, connected(at.url, blind) as client:
        made = client.responses.create(model=MODEL, input="Rain?", tools=[WEATHER])
        (called,) = [item for item in made.output if item.type == "function_call"]
        result = {"type": "function_call_output", "call_id": called.call_id, "output": "yes"}
        client.responses.create(model=MODEL, input=[result], previous_response_id=made.id, tools=[WEATHER])
        assert "Look it up." in puppet.prompt_text()
        shown = [
            made.to_json(),
            client.responses.retrieve(made.id).to_json(),
            *(event.to_json() for event in client.responses.retrieve(made.id, stream=True)),
        ]
        assert not [text for text in shown if "Look it up." in text]
        with pytest.raises(openai.PermissionDeniedError):
            client.get(f"/responses/{made.id}/harmony", cast_to=dict)


def test_a_websocket_needs_the_key_too(puppet, tmp_path):
    key = create(tmp_path / "keys", "ann")
    with hosted(service_of(puppet), Access(KeyRing(tmp_path / "keys"))) as at:
        with connected(at.url, "wrong") as client, pytest.raises(Exception, match="401"):
            client.responses.connect().enter()
        with connected(at.url, key) as client, client.responses.connect() as connection:
            connection.response.create(model=MODEL, input="Hi.")
            assert connection.recv().type == "response.created"


def test_the_agents_sdk_keeps_its_sessions_here(client, puppet):
    @function_tool
    def get_weather(place: str) -> str:
        """The weather of a place."""
        return f"rain in {place}"

    async def talk() -> list[str]:
        async with openai.AsyncOpenAI(base_url=str(client.base_url), api_key="none") as theirs:
            agent = Agent("guide", model=OpenAIResponsesModel(MODEL, theirs), tools=[get_weather])
            session = OpenAIConversationsSession(openai_client=theirs)
            quiet = RunConfig(tracing_disabled=True)
            said = [
                (await Runner.run(agent, text, session=session, run_config=quiet)).final_output
                for text in ("Rain?", "And you?")
            ]
            await session.pop_item()
            kept = [item.get("type") for item in await session.get_items()]
            await session.clear_session()
            return [*said, *kept]

    first, second, *kept = asyncio.run(talk())
    assert first == "You said: rain in Busan"
    assert second == "You said: And you?"
    turn = ["message", "reasoning", "function_call", "function_call_output", "reasoning", "message"]
    assert kept == [*turn, "message", "reasoning"]
    assert puppet.prompt_text().count("rain in Busan") == 2
