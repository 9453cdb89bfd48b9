"""The way in: keys, names of this computer, pages of other origins, sizes, and what is noted."""

import io
import json

import httpx2
import pytest
from puppet import NAME, Puppet, final, hosted, service_of
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from ossia.server.front.gate import Access, is_loopback
from ossia.server.operations.admission import Admission
from ossia.server.operations.journal import Journal
from ossia.server.operations.keys import KeyRing, create, read

ASK = {"model": NAME, "input": "What is it?"}


@pytest.fixture
def puppet():
    return Puppet(lambda _: final("The answer.", "A secret thought."))


@pytest.fixture
def keys(tmp_path):
    return tmp_path / "keys.json"


def headers(url, **fields):
    return httpx2.get(f"{url}/v1/models", headers=fields).status_code


def test_with_keys_every_way_to_send_one_works_and_none_else(puppet, keys):
    secret = create(keys, "a")
    with hosted(service_of(puppet), Access(KeyRing(keys), local_names=True)) as server:
        assert headers(server.url) == 401
        assert headers(server.url, authorization=f"Bearer {secret}x") == 401
        assert headers(server.url, authorization=f"Basic {secret}") == 401
        assert headers(server.url, authorization=f"Bearer {secret}") == 200
        assert headers(server.url, authorization=f"bearer  {secret}") == 200
        assert headers(server.url, **{"x-api-key": secret}) == 200
        assert headers(server.url, **{"api-key": secret}) == 200
        assert headers(server.url, **{"api-key": secret, "host": "gpt.example"}) == 200
        for path in ("/health", "/"):
            assert httpx2.get(server.url + path).status_code == 200
        refused = httpx2.get(f"{server.url}/v1/models")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["error"]["code"] == "invalid_api_key"
        assert isinstance(httpx2.get(f"{server.url}/api/tags").json()["error"], str)
        assert httpx2.get(f"{server.url}/metrics").status_code == 401


def test_a_websocket_needs_the_key_too(puppet, keys):
    create(keys, "a")
    with (
        hosted(service_of(puppet), Access(KeyRing(keys))) as server,
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws://127.0.0.1:{server.port}/v1/responses"),
    ):
        pass
    assert refused.value.response.status_code == 401


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("path", "question"),
    [
        ("/v1/responses", {"input": "What is it?", "reasoning": {"summary": "auto"}}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "What is it?"}]}),
        ("/api/chat", {"messages": [{"role": "user", "content": "What is it?"}], "think": True}),
        ("/api/generate", {"prompt": "What is it?", "think": True}),
    ],
)
def test_a_key_without_reasoning_sees_none(puppet, keys, path, question, stream):
    secret = create(keys, "a", sees_reasoning=False)
    with hosted(service_of(puppet), Access(KeyRing(keys))) as server:
        answer = httpx2.post(
            server.url + path,
            json={"model": NAME, **question, "stream": stream},
            headers={"authorization": f"Bearer {secret}"},
        )
    assert answer.status_code == 200
    assert "answer" in answer.text
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:11500", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("a.localhost", 200),
        ("host.docker.internal:11500", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:11500", 403),
    ],
)
def test_without_keys_only_this_computer_s_names_are_served(puppet, host, status):
    with hosted(service_of(puppet), Access(local_names=True)) as server:
        assert headers(server.url, host=host) == status


def test_pages_of_other_origins_may_not_call(puppet):
    with hosted(service_of(puppet), Access(local_names=True)) as server:
        assert headers(server.url, origin=server.url) == 200
        assert headers(server.url, origin="vscode-webview://1a2b") == 200
        for origin in ("http://evil.example", "null", "http://localhost:3000", f"https://127.0.0.1:{1}"):
            post = httpx2.post(f"{server.url}/v1/responses", json=ASK, headers={"origin": origin})
            assert post.status_code == 403
        with (
            pytest.raises(InvalidStatus),
            connect(f"ws://127.0.0.1:{server.port}/v1/responses", origin="http://evil.example"),
        ):
            pass
        asked = httpx2.options(f"{server.url}/v1/responses", headers={"origin": "http://evil.example"})
        assert "access-control-allow-origin" not in asked.headers


def test_an_origin_that_is_named_may_call(puppet):
    page = {"origin": "http://localhost:3000"}
    with hosted(service_of(puppet), Access(origins=("http://localhost:3000",))) as server:
        asked = httpx2.options(
            f"{server.url}/v1/responses", headers={**page, "access-control-request-method": "POST"}
        )
        assert asked.headers["access-control-allow-origin"] == page["origin"]
        answer = httpx2.post(f"{server.url}/v1/responses", json=ASK, headers=page)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == page["origin"]
        assert headers(server.url, origin="http://localhost:3001") == 403


def test_a_body_may_be_so_large_and_no_larger(puppet):
    with hosted(service_of(puppet), Access(max_body_bytes=2000)) as server:
        url = f"{server.url}/v1/responses"
        assert httpx2.post(url, json=ASK).status_code == 200
        announced = httpx2.post(url, json={**ASK, "input": "x" * 2000})
        assert announced.status_code == 413
        assert "--max-body" in announced.json()["error"]["message"]
        in_pieces = httpx2.post(url, content=(b"x" * 500 for _ in range(8)))
        assert in_pieces.status_code == 413
        packed = httpx2.post(url, content=b"x", headers={"content-encoding": "gzip"})
        assert packed.status_code == 400
        assert httpx2.post(url, json=ASK).status_code == 200


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b"\xff\xfe", b"[1]"])
def test_impossible_bodies_are_the_client_s_fault(puppet, body):
    with hosted(service_of(puppet)) as server:
        for path in ("/v1/responses", "/v1/chat/completions", "/api/chat"):
            assert httpx2.post(server.url + path, content=body).status_code == 400


def test_a_key_has_so_many_requests_at_once_and_others_have_theirs(keys):
    puppet = Puppet(lambda _: final("word " * 400), seconds_per_token=0.01)
    secret, other = create(keys, "b", at_once=1), create(keys, "c", at_once=1)
    with hosted(service_of(puppet), Access(KeyRing(keys))) as server:
        url = f"{server.url}/v1/responses"

        def ask(key):
            return httpx2.stream(
                "POST", url, json={**ASK, "stream": True}, headers={"authorization": f"Bearer {key}"}
            )

        with ask(secret) as first, ask(secret) as second, ask(other) as third:
            assert [first.status_code, second.status_code, third.status_code] == [200, 429, 200]
            assert int(second.headers["retry-after"]) >= 1


def test_a_full_queue_is_an_honest_429():
    puppet = Puppet(lambda _: final("word " * 400), seconds_per_token=0.01)
    with hosted(service_of(puppet, admission=Admission(1, 0))) as server:
        url = f"{server.url}/v1/responses"
        with httpx2.stream("POST", url, json={**ASK, "stream": True}) as first:
            assert first.status_code == 200
            refused = httpx2.post(url, json=ASK)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"


def lines(log: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_request_is_one_line_without_its_text(puppet, keys):
    log = io.StringIO()
    secret = create(keys, "a")
    with hosted(service_of(puppet, journal=Journal(stream=log)), Access(KeyRing(keys))) as server:
        answer = httpx2.post(
            f"{server.url}/v1/responses", json=ASK, headers={"authorization": f"Bearer {secret}"}
        )
        httpx2.get(f"{server.url}/health")
    (line,) = lines(log)
    assert line["request"] == answer.headers["x-request-id"]
    assert (line["dialect"], line["status"], line["model"]) == ("responses", 200, NAME)
    assert line["owner"] == read(keys)[0].id
    assert line["finish"] == "stop"
    assert line["output_tokens"] > line["reasoning_tokens"] > 0
    for text in ("What is it?", "The answer.", "secret thought", secret):
        assert text not in log.getvalue()


def test_text_is_logged_where_it_is_asked_for(puppet):
    log = io.StringIO()
    with hosted(service_of(puppet, journal=Journal(stream=log, with_text=True))) as server:
        httpx2.post(f"{server.url}/v1/responses", json=ASK)
    assert "What is it?" in log.getvalue()
    assert "The answer." in log.getvalue()


def test_our_own_mistakes_are_500_and_the_log_has_the_traceback():
    log = io.StringIO()

    def broken(_):
        raise RuntimeError("a fault of ours")

    with hosted(service_of(Puppet(broken), journal=Journal(stream=log))) as server:
        answer = httpx2.post(f"{server.url}/v1/responses", json=ASK)
    assert answer.status_code == 500
    assert "a fault of ours" not in answer.text
    assert any("RuntimeError: a fault of ours" in line.get("trace", "") for line in lines(log))
    assert any(line.get("status") == 500 for line in lines(log))


def test_metrics_count_what_happened(puppet):
    with hosted(service_of(puppet)) as server:
        httpx2.post(f"{server.url}/v1/responses", json=ASK)
        httpx2.post(f"{server.url}/v1/responses", content=b"[")
        text = httpx2.get(f"{server.url}/metrics").text
    assert 'ossia_requests_total{dialect="responses",status="200"} 1.0' in text
    assert 'ossia_requests_total{dialect="responses",status="400"} 1.0' in text
    assert f'ossia_answers_total{{finish="stop",model="{NAME}"}} 1.0' in text
    assert f'ossia_first_token_seconds_count{{model="{NAME}"}} 1.0' in text
    assert "ossia_running 0.0" in text
    assert "ossia_model_resident 1.0" in text


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
    ],
)
def test_loopback(host, here):
    assert is_loopback(host) is here
