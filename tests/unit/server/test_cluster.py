"""The server over vLLM: what a client sees of tokens that come from elsewhere, and of every failure there."""

import json
import sys
import time
from pathlib import Path

import httpx2
import pytest
from puppet import running

import ossia
from ossia.server.models.fixed import FixedModel
from ossia.server.service import Service
from ossia.tokenizer import load_o200k_harmony

sys.path.insert(0, str(Path(__file__).parents[1] / "backends" / "vllm"))

from fake_vllm import FakeVllm

TOK = load_o200k_harmony()
PATIENCE_S = 20


def final(text):
    marks = TOK.markers
    return [marks.channel, *TOK.encode("final"), marks.message, *TOK.encode(text), marks.return_]


@pytest.fixture(scope="module")
def both():
    answer = "It is 42, and that is all there is to say about it."
    with FakeVllm(lambda _: final(answer)) as fake:
        service = Service(FixedModel(ossia.connect(fake.url)))
        with running(service) as url:
            yield fake, url


@pytest.fixture
def server(both):
    """A fake vLLM, as new, and the URL of the server over it."""
    both[0].reset()
    return both


def ask(url, **fields):
    body = {"model": "openai/gpt-oss-120b", "input": "What?", "store": False, **fields}
    return httpx2.post(f"{url}/v1/responses", json=body, timeout=PATIENCE_S)


def events(response):
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def text_of(response):
    return "".join(
        part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"]
    )


def test_an_answer_and_its_usage(server):
    fake, url = server
    fake.answer = lambda _: final("It is 42.")
    body = ask(url).json()
    assert body["status"] == "completed"
    assert text_of(body) == "It is 42."
    assert body["usage"]["input_tokens"] == len(fake.bodies[0]["prompt"])
    assert body["usage"]["input_tokens_details"]["cached_tokens"] == 64


def test_what_cannot_be_enforced_is_named(server):
    fake, url = server
    fake.answer = lambda _: final("{}")
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    told = ask(url, tools=[tool], tool_choice="required", text={"format": schema}, max_tool_calls=1)
    assert told.status_code == 200, told.text
    warnings = json.dumps(told.json()["ossia"]["warnings"])
    assert all(name in warnings for name in ("tool_choice", "response_format", "max_calls"))
    assert "# Response Formats" in TOK.decode(fake.bodies[0]["prompt"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("busy", 429, "rate_limit_exceeded"),
        ("starting", 429, "rate_limit_exceeded"),
        ("too-long", 400, "context_length_exceeded"),
        ("late", 400, None),
        ("dead", 503, None),
        ("key", 503, None),
    ],
)
def test_what_it_refuses_has_its_status_before_anything_is_sent(server, fault, status, code, stream):
    fake, url = server
    fake.fault = fault
    told = ask(url, stream=stream)
    assert (told.status_code, told.json()["error"]["code"]) == (status, code)
    if fault == "busy":
        assert told.headers["retry-after"] == "7"
    if fault == "too-long":
        assert "4096" in told.text
        assert "5000" in told.text


MESSAGES = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": "What?"}]}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat"])
@pytest.mark.parametrize("stream", [False, True])
def test_other_dialects_pass_it_on_as_well(server, path, stream):
    fake, url = server
    for fault, status in (("busy", 429), ("too-long", 400), ("late", 400), ("dead", 503)):
        fake.fault = fault
        told = httpx2.post(f"{url}{path}", json={**MESSAGES, "stream": stream}, timeout=PATIENCE_S)
        assert told.status_code == status
        assert told.headers.get("retry-after") == ("7" if fault == "busy" else None)


def test_log_probabilities_come_through(server):
    fake, url = server
    fake.answer = lambda _: final("Yes, it is.")
    asked = {**MESSAGES, "logprobs": True, "top_logprobs": 2}
    choice = httpx2.post(f"{url}/v1/chat/completions", json=asked, timeout=PATIENCE_S).json()["choices"][0]
    told = choice["logprobs"]["content"]
    assert bytes(b for token in told for b in token["bytes"]) == b"Yes, it is."
    assert all(token["logprob"] == -2.0 and len(token["top_logprobs"]) == 2 for token in told)


@pytest.mark.parametrize("fault", ["cut", "fails", "ends"])
def test_an_answer_that_breaks_fails_in_the_stream(server, fault):
    fake, url = server
    fake.fault = fault
    fake.per_chunk = 4
    told = events(ask(url, stream=True))
    assert told[-1]["type"] == "response.failed"
    assert told[-1]["response"]["error"]["code"]
    assert ask(url).status_code == 503
    fake.fault = None
    assert ask(url).json()["status"] == "completed"


def test_a_client_that_goes_away_stops_vllm_too(server):
    fake, url = server
    fake.fault = "hangs"
    fake.per_chunk = 4
    body = {"model": "openai/gpt-oss-120b", "input": "What?", "store": False, "stream": True}
    with httpx2.stream("POST", f"{url}/v1/responses", json=body, timeout=PATIENCE_S) as told:
        next(line for line in told.iter_lines() if "output_text.delta" in line)
    deadline = time.monotonic() + PATIENCE_S
    while not fake.left:  # its answer never ends of itself
        assert time.monotonic() < deadline, "vLLM goes on for nobody"
        time.sleep(0.01)
    assert fake.under_way == 0
