"""openai-python, openai-agents and llm-comply against a real server's Chat Completions: what users do."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import openai
import pytest
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "server"))

from puppet import NAME, Puppet, call, final, model_of, running

from ossia.server.models.fixed import FixedModel
from ossia.server.service import Service

COMPLIANT = "o3-stand-in"  # llm-comply tests reasoning only on models it takes for reasoning ones
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
SHELL = {"type": "custom", "custom": {"name": "shell", "description": "Runs a command."}}


class Review(BaseModel):
    title: str
    stars: int


class GetWeather(BaseModel):
    """Current weather."""

    city: str


def turn(prompt: str) -> str:
    """A model that does what the last message of its prompt is known to ask for."""
    last = prompt.rsplit("<|start|>", 2)[1]
    if "functions.get_weather to=assistant" in last:
        return final("It rains.", "The tool said so.")
    if "functions.shell to=assistant" in last:
        return final("It is empty.")
    if "Weather" in last:
        name = "GetWeather" if "type GetWeather" in prompt else "get_weather"
        return call(f"functions.{name}", {"city": "Busan"}, "I look it up.")
    if "List" in last:
        return call("functions.shell", "ls -l")
    if "Review" in last:
        return final('{"title":"Dune","stars":5}')
    return final("Hello there.", "A greeting.")


def said(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def test_create(client):
    answer = client.chat.completions.create(
        model=NAME, messages=said("Hi"), reasoning_effort="high", max_completion_tokens=100
    )
    (choice,) = answer.choices
    assert (choice.finish_reason, choice.message.content) == ("stop", "Hello there.")
    assert choice.message.reasoning == choice.message.reasoning_content == "A greeting."
    assert answer.usage.completion_tokens_details.reasoning_tokens == 3
    assert answer.usage.prompt_tokens_details.cached_tokens >= 0


def test_a_stream(client):
    chunks = list(
        client.chat.completions.create(
            model=NAME, messages=said("Hi"), stream=True, stream_options={"include_usage": True}
        )
    )
    told = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in told) == "Hello there."
    assert "".join(getattr(delta, "reasoning", "") for delta in told) == "A greeting."
    assert told[0].role == "assistant"
    assert chunks[-1].usage.completion_tokens > 0
    assert chunks[-1].choices == []


def test_the_accumulator(client):
    with client.chat.completions.stream(
        model=NAME,
        messages=said("Weather?"),
        tools=[WEATHER],
        stream_options={"include_usage": True},
        logprobs=True,
    ) as stream:
        events = list(stream)
        answer = stream.get_final_completion()
    (made,) = answer.choices[0].message.tool_calls
    assert made.function.parsed_arguments == {"city": "Busan"}
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.usage.completion_tokens > 0
    kinds = {event.type for event in events}
    assert {"tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
    with client.chat.completions.stream(model=NAME, messages=said("Hi"), logprobs=True) as stream:
        done = {event.type: event for event in stream}
        assert stream.get_final_completion().choices[0].message.content == "Hello there."
    assert done["content.done"].content == "Hello there."
    assert "".join(token.token for token in done["logprobs.content.done"].content) == "Hello there."


def test_parse(client):
    answer = client.chat.completions.parse(model=NAME, messages=said("Review Dune"), response_format=Review)
    assert answer.choices[0].message.parsed == Review(title="Dune", stars=5)
    with client.chat.completions.stream(
        model=NAME, messages=said("Review Dune"), response_format=Review
    ) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == Review(title="Dune", stars=5)
    tools = [openai.pydantic_function_tool(GetWeather)]
    called = client.chat.completions.parse(model=NAME, messages=said("Weather?"), tools=tools)
    assert called.choices[0].message.tool_calls[0].function.parsed_arguments == GetWeather(city="Busan")


def test_a_loop_of_calls_keeps_its_reasoning(client, served):
    puppet, _ = served
    messages = said("Weather?")
    before = len(puppet.prompts)
    message = (
        client.chat.completions.create(model=NAME, messages=messages, tools=[WEATHER]).choices[0].message
    )
    (made,) = message.tool_calls
    kept = message.model_dump(exclude={"reasoning", "reasoning_content"}, exclude_none=True)
    messages += [kept, {"role": "tool", "tool_call_id": made.id, "content": "rain"}]
    answer = client.chat.completions.create(model=NAME, messages=messages, tools=[WEATHER])
    assert answer.choices[0].message.content == "It rains."
    first, second = puppet.prompts[before:]
    sampled = puppet.ids(call("functions.get_weather", {"city": "Busan"}, "I look it up."))
    assert second[: len(first) + len(sampled)] == first + sampled
    whole = [messages[0], message, messages[2]]  # a message may be sent back as it came, too
    assert client.chat.completions.create(model=NAME, messages=whole, tools=[WEATHER]).choices


def test_custom_tools(client):
    messages = said("List it")
    message = client.chat.completions.create(model=NAME, messages=messages, tools=[SHELL]).choices[0].message
    (made,) = message.tool_calls
    assert (made.type, made.custom.name, made.custom.input) == ("custom", "shell", "ls -l")
    messages += [message, {"role": "tool", "tool_call_id": made.id, "content": "total 0"}]
    answer = client.chat.completions.create(model=NAME, messages=messages, tools=[SHELL])
    assert answer.choices[0].message.content == "It is empty."


def test_several_answers_and_log_probabilities(client):
    answer = client.chat.completions.create(
        model=NAME, messages=said("Hi"), n=2, seed=1, logprobs=True, top_logprobs=3, stop=["there"]
    )
    assert [choice.message.content for choice in answer.choices] == ["Hello ", "Hello "]
    assert len(answer.choices[1].logprobs.content[0].top_logprobs) == 3


def test_models(client):
    assert [model.id for model in client.models.list()] == [NAME]
    assert client.models.retrieve(NAME).id == NAME
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("another")


@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"n": 999}, openai.BadRequestError, "n"),
        ({"model": "another"}, openai.NotFoundError, None),
        ({"messages": [{"role": "user", "content": "word " * 200_000}]}, openai.BadRequestError, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_typed(client, fields, error, param, stream):
    with pytest.raises(error) as raised:
        client.chat.completions.create(**{"model": NAME, "messages": said("Hi"), "stream": stream, **fields})
    assert raised.value.param == param


def test_agents_call_tools(served):
    import agents

    agents.set_tracing_disabled(True)
    puppet, url = served
    seen = []

    @agents.function_tool
    def get_weather(city: str) -> str:
        """Current weather."""
        seen.append(city)
        return "rain"

    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            model = agents.OpenAIChatCompletionsModel(model=NAME, openai_client=client)
            agent = agents.Agent("Forecaster", instructions="Be brief.", tools=[get_weather], model=model)
            first = await agents.Runner.run(agent, "Weather?")
            streamed = agents.Runner.run_streamed(agent, "Weather?")
            kinds = {event.type async for event in streamed.stream_events()}
            return first.final_output, streamed.final_output, kinds

    first, second, kinds = asyncio.run(ask())
    assert (first, second, seen) == ("It rains.", "It rains.", ["Busan", "Busan"])
    assert "raw_response_event" in kinds
    assert "analysis<|message|>I look it up.<|end|>" in puppet.prompt_text()


def test_llm_comply():
    def obliging(prompt: str) -> str:
        if "get_weather" in prompt:
            return call("functions.get_weather", {"location": "San Francisco"})
        return final("Four.", "Hm.")

    puppet = Puppet(obliging)
    with running(Service(FixedModel(model_of(puppet, COMPLIANT)))) as url:
        command = ["-m", "llm_comply.cli", "--format", "openai-chat", "-u", f"{url}/v1"]
        done = subprocess.run(
            [sys.executable, *command, "-k", "x", "-m", COMPLIANT, "--json"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    results = json.loads(done.stdout)["results"]
    assert [r for r in results if r["status"] != "passed" or r.get("warnings")] == []
    assert len(results) == 9
