"""openai-python, openai-agents and llm-comply against a real server's Responses API: what their users do."""

import asyncio
import json
import subprocess
import sys
from enum import StrEnum
from pathlib import Path

import openai
import pytest
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "server"))

from puppet import NAME, Puppet, call, final, model_of, running, service_of

from ossia.errors import BackendError
from ossia.server.models.fixed import FixedModel
from ossia.server.service import Service

COMPLIANT = "gpt-5-stand-in"  # llm-comply tests summaries only on models it takes for reasoning ones
PROMPT = {"role": "user", "content": "Hello"}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Current weather.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
DATE = {
    "type": "custom",
    "name": "set_date",
    "description": "Sets the date.",
    "format": {"type": "grammar", "syntax": "regex", "definition": r"\d{4}-\d{2}-\d{2}"},
}


class Mood(StrEnum):
    good = "good"
    bad = "bad"


class Review(BaseModel):
    title: str
    stars: int
    mood: Mood


def turn(prompt: str) -> str:
    """A model that does what the last message of its prompt is known to ask for."""
    last = prompt.rsplit("<|start|>", 2)[1]
    if "functions.get_weather to=assistant" in last:
        return final("It rains.", "The tool said so.")
    if "functions.set_date to=assistant" in last:
        return final("It is set.")
    if "Weather" in last:
        return call("functions.get_weather", {"city": "Busan"}, "I look it up.")
    if "Set the date" in last:
        return call("functions.set_date", "2026-11-22")
    if "# Response Formats" in prompt:
        return final('{"title":"Dune","stars":5,"mood":"good"}')
    if "Announce" in last:
        return "<|channel|>commentary<|message|>One moment.<|end|><|start|>assistant" + final("Done.")
    return final("Hello there.", "A greeting.")


def test_create(client):
    response = client.responses.create(
        model=NAME, input="Hello", instructions="Be kind.", reasoning={"effort": "high"}, metadata={"a": "b"}
    )
    assert response.output_text == "Hello there."
    thought, said = response.output
    assert (thought.type, thought.content[0].text, thought.summary) == ("reasoning", "A greeting.", [])
    assert (said.type, said.phase, said.status) == ("message", "final_answer", "completed")
    assert (response.status, response.metadata, response.reasoning.effort) == (
        "completed",
        {"a": "b"},
        "high",
    )
    assert response.usage.output_tokens_details.reasoning_tokens == 3
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_every_event_of_a_stream_is_known(client):
    stream = client.responses.create(
        model=NAME, input="Hello", stream=True, reasoning={"effort": "low", "summary": "auto"}
    )
    events = list(stream)
    assert {type(event).__name__ for event in events} == {
        *("ResponseCreatedEvent", "ResponseInProgressEvent", "ResponseOutputItemAddedEvent"),
        *(
            "ResponseContentPartAddedEvent",
            "ResponseReasoningTextDeltaEvent",
            "ResponseReasoningTextDoneEvent",
        ),
        *("ResponseReasoningSummaryPartAddedEvent", "ResponseReasoningSummaryTextDeltaEvent"),
        *("ResponseReasoningSummaryTextDoneEvent", "ResponseReasoningSummaryPartDoneEvent"),
        *("ResponseContentPartDoneEvent", "ResponseOutputItemDoneEvent", "ResponseTextDeltaEvent"),
        *("ResponseTextDoneEvent", "ResponseCompletedEvent"),
    }
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == events[-1].response.output_text == "Hello there."


def test_the_accumulator(client):
    with client.responses.stream(model=NAME, input="Announce it.") as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        response = stream.get_final_response()
    assert snapshots[-1] == "Done."
    assert [item.phase for item in response.output] == ["commentary", "final_answer"]


def test_parse(client):
    response = client.responses.parse(model=NAME, input="Review Dune.", text_format=Review)
    assert response.output_parsed == Review(title="Dune", stars=5, mood=Mood.good)
    assert response.text.format.name == "Review"


def test_parse_while_it_streams(client):
    with client.responses.stream(model=NAME, input="Review Dune.", text_format=Review) as stream:
        done = next(event for event in stream if event.type == "response.output_text.done")
    assert done.parsed == Review(title="Dune", stars=5, mood=Mood.good)


def test_a_loop_of_function_calls(client, served):
    said = [{"role": "user", "content": "Weather?"}]
    options = {"model": NAME, "tools": [WEATHER], "store": False, "include": ["reasoning.encrypted_content"]}
    first = client.responses.create(input=said, **options)
    thought, made = first.output
    assert (made.type, made.name, json.loads(made.arguments)) == (
        "function_call",
        "get_weather",
        {"city": "Busan"},
    )
    assert thought.encrypted_content
    said += [item.model_dump(exclude_none=True) for item in first.output]
    said.append({"type": "function_call_output", "call_id": made.call_id, "output": "rain"})
    second = client.responses.create(input=said, **options)
    assert second.output_text == "It rains."
    before, after = served[0].prompts[-2:]
    assert after[: len(before)] == before
    assert second.usage.input_tokens_details.cached_tokens >= len(before)


def test_function_calls_while_they_stream(client):
    with client.responses.stream(model=NAME, input="Weather?", tools=[WEATHER]) as stream:
        events = list(stream)
        response = stream.get_final_response()
    deltas = [event for event in events if event.type == "response.function_call_arguments.delta"]
    assert deltas[-1].snapshot == '{"city": "Busan"}'
    assert response.output[-1].parsed_arguments == {"city": "Busan"}


def test_custom_tools(client):
    options = {"model": NAME, "tools": [DATE]}
    said = [{"role": "user", "content": "Set the date."}]
    stream = client.responses.create(input=said, stream=True, **options)
    events = {event.type: event for event in stream}
    assert events["response.custom_tool_call_input.done"].input == "2026-11-22"
    made = events["response.completed"].response.output[-1]
    assert (made.type, made.name, made.input) == ("custom_tool_call", "set_date", "2026-11-22")
    said += [made.model_dump(exclude_none=True)]
    said.append({"type": "custom_tool_call_output", "call_id": made.call_id, "output": "ok"})
    assert client.responses.create(input=said, **options).output_text == "It is set."


def test_log_probabilities(client):
    options = {
        "model": NAME,
        "input": "Hello",
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
    }
    response = client.responses.create(**options)
    tokens = response.output[-1].content[0].logprobs
    assert "".join(token.token for token in tokens) == "Hello there."
    assert [(t.logprob, len(t.top_logprobs)) for t in tokens] == [(-0.5, 2)] * len(tokens)
    deltas = [
        e for e in client.responses.create(stream=True, **options) if e.type == "response.output_text.delta"
    ]
    assert [token.token for delta in deltas for token in delta.logprobs] == [token.token for token in tokens]


def test_what_was_cut(client):
    response = client.responses.create(model=NAME, input="Hello", max_output_tokens=3)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_raw_response_has_the_extension(client):
    raw = client.responses.with_raw_response.create(
        model=NAME,
        input=[
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:,", "detail": "auto"}]}
        ],
    )
    assert [w["code"] for w in json.loads(raw.text)["ossia"]["warnings"]] == ["not-shown"]


@pytest.mark.parametrize(
    ("fields", "error", "param", "code"),
    [
        ({"temperature": 9}, openai.BadRequestError, "temperature", None),
        ({"input": [{"role": "user", "content": 5}]}, openai.BadRequestError, "input[0].content", None),
        ({"model": "gpt-12"}, openai.NotFoundError, None, "model_not_found"),
        (
            {"input": [{"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "ossia1.AAAA"}]},
            openai.BadRequestError,
            "input[0].encrypted_content",
            "invalid_encrypted_content",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_typed(client, fields, error, param, code, stream):
    with pytest.raises(error) as raised:
        client.responses.create(**{"model": NAME, "input": "Hello", "stream": stream, **fields})
    assert (raised.value.param, raised.value.code) == (param, code)
    assert set(raised.value.body) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_context_that_is_full(stream):
    with (
        running(service_of(Puppet(turn, context_length=64))) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
        pytest.raises(openai.BadRequestError, match=r"\d+ tokens, the context is 64") as raised,
    ):
        client.responses.create(model=NAME, input="word " * 100, stream=stream)
    assert raised.value.code == "context_length_exceeded"


class Failing(Puppet):
    async def _play(self, ids, params, cached):
        async for item in super()._play(ids, params, cached):
            yield item
            if getattr(item, "id", None) == ids[4]:
                raise BackendError("The engine stopped.")


def test_what_fails_under_way_is_an_error_too():
    with (
        running(service_of(Failing(turn))) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
    ):
        with pytest.raises(openai.APIError, match="The engine stopped") as streamed:
            list(client.responses.create(model=NAME, input="Hello", stream=True))
        with pytest.raises(openai.InternalServerError, match="The engine stopped"):
            client.responses.create(model=NAME, input="Hello")
    assert streamed.value.code == "server_error"


def test_asynchronously(served):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{served[1]}/v1", api_key="none") as client:
            answers = [client.responses.create(model=NAME, input="Hello") for _ in range(8)]
            async with client.responses.stream(model=NAME, input="Hello") as stream:
                streamed = await stream.get_final_response()
            return [streamed, *await asyncio.gather(*answers)]

    assert [response.output_text for response in asyncio.run(ask())] == ["Hello there."] * 9


def test_agents_call_tools_and_keep_their_reasoning(served):
    import agents

    puppet, url = served
    agents.set_tracing_disabled(True)
    seen = []

    @agents.function_tool
    def get_weather(city: str) -> str:
        """Current weather."""
        seen.append(city)
        return "rain"

    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            model = agents.OpenAIResponsesModel(model=NAME, openai_client=client)
            agent = agents.Agent("Forecaster", instructions="Be brief.", tools=[get_weather], model=model)
            first = await agents.Runner.run(agent, "Weather?")
            streamed = agents.Runner.run_streamed(agent, [*first.to_input_list(), PROMPT])
            kinds = {event.type async for event in streamed.stream_events()}
            return first.final_output, streamed.final_output, kinds

    first, second, kinds = asyncio.run(ask())
    assert (first, second, seen) == ("It rains.", "Hello there.", ["Busan"])
    assert "raw_response_event" in kinds
    call_step, result_step, last = puppet.prompts[-3:]
    assert result_step[: len(call_step)] == call_step
    assert puppet.tok.decode(result_step).count("<|channel|>analysis<|message|>I look it up.") == 1
    assert "I look it up." not in puppet.tok.decode(last)


def comply(url: str) -> dict:
    """Run llm-comply's Open Responses cases; its report."""
    done = subprocess.run(
        [*(sys.executable, "-m", "llm_comply.cli"), *("-u", url, "-k", "x", "-m", COMPLIANT, "--json")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("base", "thought"), [("/v1", ""), ("/openresponses/v1", "Let me think."), ("/openresponses/v1", "")]
)
def test_open_responses_compliance(base, thought):
    def obliging(prompt: str) -> str:
        if "get_weather" in prompt:
            return call("functions.get_weather", {"location": "San Francisco"}, thought)
        streams = "Count from 1" in prompt or "one word" in prompt
        return final("Four.", thought if streams else thought or "Hm.")

    puppet = Puppet(obliging)
    with running(Service(FixedModel(model_of(puppet, COMPLIANT)))) as url:
        report = comply(url + base)
    wrong = [result for result in report["results"] if result["status"] != "passed"]
    assert wrong == []
    assert len(report["results"]) == 13
