"""LangChain's ChatOpenAI against a real server, over Chat Completions and over the Responses API."""

import asyncio
import sys
from pathlib import Path

import httpx2
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "server"))

from puppet import NAME, Puppet, call, final, running, service_of

APIS = {
    "chat": {},
    "responses": {"use_responses_api": True},
    "responses/v1": {"use_responses_api": True, "output_version": "responses/v1"},
    "v1": {"use_responses_api": True, "output_version": "v1"},
    "stateless": {
        "use_responses_api": True,
        "output_version": "responses/v1",
        "store": False,
        "include": ["reasoning.encrypted_content"],
    },
}


class Review(BaseModel):
    """A review."""

    title: str
    stars: int


@tool
def get_weather(city: str) -> str:
    """Current weather."""
    return f"rain in {city}"


def turn(prompt: str) -> str:
    last = prompt.rsplit("<|start|>", 2)[1]
    if "functions.get_weather to=assistant" in last:
        return final("It rains.", "The tool said so.")
    if "Weather" in last:
        return call("functions.get_weather", {"city": "Busan"}, "I look it up.")
    if "Review" in last and "type Review" in prompt:
        return call("functions.Review", {"title": "Dune", "stars": 5})
    if "Review" in last:
        return final('{"title":"Dune","stars":5}', "Five.")
    return final("Hello there.", "A greeting.")


@pytest.fixture(scope="module")
def served():
    puppet = Puppet(turn)
    with running(service_of(puppet)) as url:
        yield puppet, url


def opened(url: str, api: str, **options) -> ChatOpenAI:
    return ChatOpenAI(model=NAME, base_url=f"{url}/v1", api_key="none", max_retries=0, **APIS[api], **options)


@pytest.fixture(params=APIS)
def llm(request, served):
    return opened(served[1], request.param)


def test_invoke(llm):
    answer = llm.invoke([SystemMessage("Be kind."), HumanMessage("Hello")])
    assert answer.text == "Hello there."
    assert answer.usage_metadata["output_tokens"] > 0
    assert answer.usage_metadata["output_token_details"]["reasoning"] == 3


def test_stream(llm):
    pieces = list(llm.stream("Hello"))
    assert "".join(piece.text for piece in pieces) == "Hello there."
    assert len(pieces) > 2


@pytest.mark.parametrize("api", APIS)
def test_asynchronously(served, api):
    async def ask():
        async with httpx2.AsyncClient() as client:  # LangChain's own outlives its event loop
            llm = opened(served[1], api, http_async_client=client)
            whole = await llm.ainvoke("Hello")
            return whole.text, "".join([piece.text async for piece in llm.astream("Hello")])

    assert asyncio.run(ask()) == ("Hello there.", "Hello there.")


def test_a_conversation_goes_on(llm):
    first = llm.invoke("Hello")
    again = llm.invoke([HumanMessage("Hello"), first, HumanMessage("Hello again")])
    assert again.text == "Hello there."


@pytest.mark.parametrize("streamed", [False, True])
def test_a_loop_of_calls_keeps_its_reasoning(llm, served, streamed):
    puppet, _ = served
    bound = llm.bind_tools([get_weather])
    messages = [HumanMessage("Weather?")]
    if streamed:
        pieces = list(bound.stream(messages))
        said = pieces[0]
        for piece in pieces[1:]:
            said += piece
    else:
        said = bound.invoke(messages)
    (made,) = said.tool_calls
    assert (made["name"], made["args"]) == ("get_weather", {"city": "Busan"})
    before = puppet.prompts[-1]
    messages += [said, ToolMessage(get_weather.invoke(made["args"]), tool_call_id=made["id"])]
    assert bound.invoke(messages).text == "It rains."
    sampled = puppet.ids(call("functions.get_weather", {"city": "Busan"}, "I look it up."))
    assert puppet.prompts[-1][: len(before) + len(sampled)] == before + sampled


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
@pytest.mark.parametrize("include_raw", [False, True])
def test_with_structured_output(llm, method, include_raw):
    structured = llm.with_structured_output(Review, method=method, include_raw=include_raw)
    answer = structured.invoke("Review Dune as JSON")
    if include_raw:
        assert isinstance(answer["raw"], AIMessage)
        answer = answer["parsed"]
    assert answer == Review(title="Dune", stars=5)


def test_a_tool_that_must_be_called(llm):
    for choice in ("any", "get_weather", "auto"):
        bound = llm.bind_tools([get_weather], tool_choice=choice, strict=True, parallel_tool_calls=False)
        assert [made["name"] for made in bound.invoke("Weather?").tool_calls] == ["get_weather"]


def test_stop_and_other_options(served):
    llm = opened(served[1], "chat")
    answer = llm.bind(stop=["there"], logprobs=True, top_logprobs=2, seed=1, n=1).invoke("Hello")
    assert answer.text == "Hello "
    assert len(answer.response_metadata["logprobs"]["content"][0]["top_logprobs"]) == 2
