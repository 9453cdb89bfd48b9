"""What of the Responses API shows on the wire alone: names by header or path, how a stream ends, statuses."""

import json

import httpx2
import pytest
from puppet import NAME, Puppet, final, running, service_of


@pytest.fixture(scope="module")
def url():
    with running(service_of(Puppet(lambda _: final("Hello.", "Hm.")))) as base:
        yield base


def post(url, path="/v1/responses", headers=None, **body):
    return httpx2.post(url + path, json={"model": NAME, "input": "Hi", **body}, headers=headers)


def types(response):
    lines = [line for line in response.text.split("\n") if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: "))["type"] for line in lines]


def test_a_stream_is_named_numbered_and_ended(url):
    response = post(url, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.startswith("event: response.created\ndata: {")
    assert response.text.endswith("data: [DONE]\n\n")
    named = [line.removeprefix("event: ") for line in response.text.split("\n") if line.startswith("event: ")]
    assert named == types(response)
    assert "response.reasoning_text.delta" in named


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/openresponses/v1/responses", {}), ("/v1/responses", {"OpenResponses-Version": "2026-04-24"})],
)
def test_the_specification_has_names_of_its_own(url, path, headers):
    named = types(post(url, path, headers, stream=True))
    assert {"response.reasoning.delta", "response.reasoning.done"} < set(named)
    assert not any("reasoning_text" in name for name in named)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("body", "status", "param"),
    [({"temperature": 9}, 400, "temperature"), ({"model": None}, 400, "model"), ({"model": "x"}, 404, None)],
)
def test_what_is_wrong_at_once_has_its_status(url, stream, body, status, param):
    response = post(url, stream=stream, **body)
    assert response.status_code == status
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["param"] == param
