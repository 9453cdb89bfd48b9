"""What is asked for, what is ignored, what is refused."""

import httpx2
import pytest
from asking import PATH, WEATHER, asking
from puppet import NAME, final

from ossia.harmony.grammar import AllowedTools
from ossia.server.service import Service


@pytest.fixture(scope="module")
def yes():
    with asking(final("Yes.")) as asker:
        yield asker


def test_what_is_asked_of_the_sampling_reaches_the_backend():
    with asking(final("Yes.")) as asker:
        asker.ask(
            temperature=0.25,
            top_p=0.5,
            presence_penalty=0.5,
            frequency_penalty=-0.5,
            seed=3,
            logit_bias={"17": -100, "9": 2.5},
        )
        asker.ask(top_p=0)
        first, second = asker.puppet.params
    assert (first.temperature, first.top_p, first.seed) == (0.25, 0.5, 3)
    assert (first.presence_penalty, first.frequency_penalty) == (0.5, -0.5)
    assert first.logit_bias == {17: -100, 9: 2.5}
    assert second.temperature == 1.0
    assert 0 < second.top_p < 1e-3


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({}, "medium"),
        ({"reasoning_effort": "none"}, "low"),
        ({"reasoning_effort": "minimal"}, "low"),
        ({"reasoning_effort": "xhigh"}, "high"),
        ({"reasoning": {"effort": "max"}}, "high"),
        ({"reasoning": {"summary": "auto"}}, "medium"),
        ({"chat_template_kwargs": {"reasoning_effort": "low"}}, "low"),
    ],
)
def test_the_effort_by_all_its_names(yes, fields, effort):
    yes.ask(**fields)
    assert f"Reasoning: {effort}\n" in yes.puppet.prompt_text()


def test_what_the_api_knows_and_we_do_not_is_no_error():
    with asking(final("Yes.")) as asker:
        answer = asker.ask(
            metadata={"a": "b"},
            store=True,
            user="ann",
            prediction={"type": "content", "content": "Yes."},
            modalities=["text"],
            service_tier="auto",
            prompt_cache_key="k",
            safety_identifier="s",
            verbosity="low",
            web_search_options={},
            stream_options={"include_obfuscation": False},
            something_new={"deep": [1]},
            tools=[{"type": "web_search"}, {"type": "mcp", "server_label": "x"}],
            tool_choice="required",
        )
    told = [warning["message"] for warning in answer["ossia"]["warnings"]]
    for what in ("web_search_options", "verbosity", "store", "web_search tool", "mcp tool"):
        assert any(what in message for message in told), what


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("none", "none"),
        ("auto", "auto"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "weather"}}, AllowedTools(("functions.weather",), True)),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "weather"}}],
                },
            },
            AllowedTools(("functions.weather",), False),
        ),
    ],
)
def test_a_choice_of_tools_in_every_form(choice, told, monkeypatch):
    asked = []

    def answer(self, model, conversation, caller, **options):
        asked.append(options)
        return original(self, model, conversation, caller, **options)

    original = Service.answer
    monkeypatch.setattr(Service, "answer", answer)
    with asking(final("Yes.")) as asker:
        asker.ask(tools=[WEATHER], tool_choice=choice, parallel_tool_calls=False)
    assert asked[0]["tool_choice"] == told
    assert asked[0]["max_calls"] == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "bard", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]}, "messages[0]"),
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"n": 129}, "n"),
        ({"n": 0}, "n"),
        ({"n": 1.5}, "n"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": 9}, "temperature"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"logit_bias": {"word": 1}}, "logit_bias"),
        ({"logit_bias": {"5": "x"}}, "logit_bias"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": [5]}, "stop"),
        ({"reasoning": {"max_tokens": -1}}, "reasoning.max_tokens"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": 5}, "stream_options"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(yes, fields, param):
    before = len(yes.puppet.prompts)
    body = {"model": NAME, "messages": [{"role": "user", "content": "x"}], **fields}
    response = httpx2.post(yes.url + PATH, json=body)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert len(yes.puppet.prompts) == before


def test_a_model_that_is_not_here_and_what_is_not_served():
    with asking(final("Yes.")) as asker:
        assert asker.refused(model="nobody/nothing", status=404)["code"] == "model_not_found"
        for path in ("/v1/embeddings", "/v1/completions", "/v1/audio/speech"):
            response = httpx2.post(asker.url + path, json={})
            assert response.status_code == 404
            assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_too_long_is_refused_with_its_numbers(stream):
    with asking(final("Yes."), context_length=100) as asker:
        error = asker.refused("word " * 200, stream=stream)
    assert error["code"] == "context_length_exceeded"
    assert "100" in error["message"]
