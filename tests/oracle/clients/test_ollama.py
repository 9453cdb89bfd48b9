"""The `ollama` package against a real server: what its users do."""

import asyncio

import ollama
import pytest
from puppet import call, final

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def turn(prompt: str) -> str:
    """A model that adds with a tool, and else greets."""
    last = prompt.rsplit("<|start|>", 2)[1]
    if last.startswith("user<|message|>What is 3 + 4"):
        return call("functions.add_two_numbers", {"a": 3, "b": 4}, "I add.")
    if last.startswith("functions.add_two_numbers"):
        return final("It is 7.", "The tool said so.")
    if last.startswith("user<|message|>Name a city"):
        return final('{"name": "Busan"}', "A city.")
    return final("Hello there.", "A greeting.")


@pytest.fixture
def client(served):
    with ollama.Client(served[1]) as client:
        yield client


def add_two_numbers(a: int, b: int) -> int:
    """
    Add two numbers

    Args:
        a: The first number
        b: The second number
    """
    return a + b


def test_models_are_listed_shown_and_loaded(client):
    assert [m.model for m in client.list().models] == ["gpt-oss:20b"]
    shown = client.show("gpt-oss:20b")
    assert shown.modelinfo["general.architecture"] == "gptoss"
    assert "thinking" in shown.capabilities
    (loaded,) = client.ps().models
    assert (loaded.model, loaded.context_length) == ("gpt-oss:20b", 131_072)
    assert loaded.expires_at.year > 2100


def test_a_chat_whole_and_streamed(client):
    asked = [{"role": "user", "content": "Hi"}]
    whole = client.chat("gpt-oss:20b", asked)
    assert (whole.message.content, whole.message.thinking) == ("Hello there.", "A greeting.")
    assert (whole.done, whole.done_reason) == (True, "stop")
    parts = list(client.chat("gpt-oss:20b", asked, stream=True))
    assert "".join(part.message.content or "" for part in parts) == "Hello there."
    assert "".join(part.message.thinking or "" for part in parts) == "A greeting."
    assert parts[-1].eval_count == whole.eval_count


@pytest.mark.parametrize("level", ["low", "medium", "high"])
def test_think_levels_reach_the_prompt(client, served, level):
    client.chat("gpt-oss:20b", [{"role": "user", "content": "Hi"}], think=level)
    assert f"Reasoning: {level}" in served[0].prompt_text()
    silent = client.chat("gpt-oss:20b", [{"role": "user", "content": "Hi"}], think=False)
    assert silent.message.thinking is None


@pytest.mark.parametrize("stream", [False, True])
def test_the_tool_loop_keeps_its_reasoning_and_computes_only_what_is_new(client, served, stream):
    puppet, _ = served
    messages: list = [{"role": "user", "content": "What is 3 + 4?"}]
    for _ in range(2):
        answer = client.chat("gpt-oss:20b", messages, tools=[add_two_numbers], stream=stream)
        parts = list(answer) if stream else [answer]
        calls = [call for part in parts for call in part.message.tool_calls or ()]
        text = "".join(part.message.content or "" for part in parts)
        if not calls:
            break
        messages.append({"role": "assistant", "content": text, "tool_calls": calls})
        for made in calls:
            result = add_two_numbers(**made.function.arguments)
            messages.append({"role": "tool", "tool_name": made.function.name, "content": str(result)})
    assert text == "It is 7."
    first, second = puppet.prompts[-2:]
    said = puppet.ids(turn("<|start|>user<|message|>What is 3 + 4?<|end|><|start|>assistant"))
    assert second[: len(first) + len(said)] == [*first, *said]
    assert parts[-1].prompt_eval_count == len(second)


def test_a_schema_is_answered(client):
    asked = [{"role": "user", "content": "Name a city"}]
    assert client.chat("gpt-oss:20b", asked, format=SCHEMA).message.content == '{"name": "Busan"}'


def test_generate_whole_streamed_and_with_context(client):
    whole = client.generate(
        "gpt-oss:20b", "Hi", options=ollama.Options(temperature=0, seed=1, num_predict=100)
    )
    assert (whole.response, whole.thinking) == ("Hello there.", "A greeting.")
    parts = list(client.generate("gpt-oss:20b", "Hi again", context=whole.context, stream=True))
    assert "".join(part.response or "" for part in parts) == "Hello there."
    assert client.generate("gpt-oss:20b").done_reason == "load"


def test_logprobs_are_read(client):
    asked = [{"role": "user", "content": "Hi"}]
    answer = client.chat("gpt-oss:20b", asked, logprobs=True, top_logprobs=1, think=False)
    assert "".join(token.token for token in answer.logprobs) == "Hello there."


def test_a_pull_succeeds_for_what_is_here_and_else_says_how(client):
    assert client.pull("gpt-oss:20b").status == "success"
    assert [part.status for part in client.pull("gpt-oss:20b", stream=True)][-1] == "success"
    with pytest.raises(ollama.ResponseError, match="ossia pull"):
        list(client.pull("gpt-oss:120b", stream=True))


def test_a_missing_model_is_the_404_that_examples_act_on(client):
    for stream in (False, True):
        with pytest.raises(ollama.ResponseError) as caught:
            list(client.chat("missing", [{"role": "user", "content": "Hi"}], stream=stream))
        assert caught.value.status_code == 404
        assert "model 'missing' not found" in caught.value.error


def test_what_is_not_offered_is_an_error_the_client_reads(client):
    for refused in (
        lambda: client.delete("gpt-oss:20b"),
        lambda: client.copy("gpt-oss:20b", "mine"),
        lambda: client.create("mine", from_="gpt-oss:20b"),
        lambda: client.push("mine"),
        lambda: client.embed("gpt-oss:20b", "Hi"),
    ):
        with pytest.raises(ollama.ResponseError, match=r"this server never|embeddings"):
            refused()


def test_the_asynchronous_client(served):
    async def talk() -> list[str]:
        client = ollama.AsyncClient(served[1])
        async with client:
            asked = [{"role": "user", "content": "Hi"}]
            stream = await client.chat("gpt-oss:20b", asked, stream=True)
            return [part.message.content or "" async for part in stream]

    assert "".join(asyncio.run(talk())) == "Hello there."
