"""A model behind vLLM servers, opened by their URL."""

import asyncio
from pathlib import Path

import pytest
from fake_vllm import FakeVllm

from ossia.agent.events import TextDelta
from ossia.errors import BackendError, CheckpointError, ConfigError, ModelNotFoundError
from ossia.harmony.render import render_conversation
from ossia.hub.cluster import aconnect, connect
from ossia.tokenizer import load_checkpoint_tokenizer, load_o200k_harmony

TINY = Path(__file__).parents[3] / "golden" / "tokenizer_tiny.json"


def says(tok, text):
    """What a model that answers `text` samples."""
    marks = tok.markers
    return [marks.channel, *tok.encode("final"), marks.message, *tok.encode(text), marks.return_]


def test_a_chat_over_a_server_speaks_harmony_by_ids():
    tok = load_o200k_harmony()
    with FakeVllm(lambda _: says(tok, "It is 42.")) as fake, connect(fake.url) as model:
        assert (model.card.name, model.card.context_length) == ("openai/gpt-oss-120b", 131_072)
        chat = model.chat("Be brief.")
        reply = chat.send("What?")
        assert reply.text == "It is 42."
        assert reply.finish_reason == "stop"
        assert reply.usage.cached_tokens == 64
        conversation = chat.conversation
        asked = conversation.messages[:-1]
        prompt = render_conversation(type(conversation)(asked), tok, completion=True, schema="full")
        assert fake.bodies[0]["prompt"] == prompt
        assert fake.bodies[0]["stop_token_ids"] == sorted(tok.markers.stop_ids)
        assert chat.send("And then?").text == "It is 42."
        assert fake.bodies[1]["prompt"][: len(prompt)] == prompt


def test_log_probabilities_come_with_the_text():
    tok = load_o200k_harmony()
    with FakeVllm(lambda _: says(tok, "Yes.")) as fake, connect(fake.url) as model:
        deltas = [e for e in model.chat(logprobs=2).stream("?") if isinstance(e, TextDelta)]
        given = [one for delta in deltas for one in delta.logprobs]
        assert b"".join(one.bytes for one in given) == b"Yes."
        assert {one.logprob for one in given} == {-2.0}


def test_another_vocabulary_comes_from_a_file_here():
    tok = load_checkpoint_tokenizer(TINY)
    with FakeVllm(lambda _: says(tok, "ok")) as fake, connect(fake.url, tokenizer=TINY) as model:
        assert model.chat().send("?").text == "ok"
        assert model.card.identity is None
        with pytest.raises(CheckpointError):
            connect(fake.url, tokenizer=TINY.with_name("missing.json"))


def test_one_of_several_models_is_named():
    with FakeVllm(models=("a", "b")) as fake:
        with connect(fake.url) as first, connect(fake.url + "/v1/", "b", api_key="k") as second:
            assert (first.card.name, second.card.name) == ("a", "b")
        assert fake.keys == [None, "Bearer k"]
        with pytest.raises(ModelNotFoundError, match="It serves a, b"):
            connect(fake.url, "c")


def test_a_server_of_another_vocabulary_is_refused():
    tiny, o200k = load_checkpoint_tokenizer(TINY), load_o200k_harmony()
    with FakeVllm(tokenize=tiny.encode) as fake:
        with pytest.raises(ConfigError, match="another vocabulary than o200k_harmony"):
            connect(fake.url)
        connect(fake.url, tokenizer=TINY).close()
        fake.tokenize = o200k.encode
        connect(fake.url).close()


def test_a_server_that_is_no_vllm_is_an_error():
    with FakeVllm(context_length=None) as fake, pytest.raises(BackendError, match="how long its context is"):
        connect(fake.url)


def test_a_server_that_is_gone_is_an_error():
    with FakeVllm() as fake:
        url = fake.url
    with pytest.raises(BackendError, match="cannot be reached"):
        connect(url)


def test_a_wrong_key_says_so():
    with FakeVllm() as fake:
        fake.fault = "key"
        with pytest.raises(BackendError, match="API key"):
            connect(fake.url)


def test_in_an_event_loop():
    async def talk(url):
        async with await aconnect(url) as model:
            return (await model.chat().asend("?")).text

    tok = load_o200k_harmony()
    with FakeVllm(lambda _: says(tok, "Hello.")) as fake:
        assert asyncio.run(talk(fake.url)) == "Hello."
