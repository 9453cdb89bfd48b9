"""Hostile and clumsy clients: too slow to send, too slow to read, too many, half gone; the server goes on."""

import asyncio
import contextlib
import json
import socket
import time
from functools import partial

import httpx2
import pytest
from puppet import NAME, Puppet, final, hosted, service_of

from ossia.model.sampling import PromptProgress
from ossia.server.front.connections import allow_files
from ossia.server.front.gate import Access
from ossia.server.operations.admission import Admission
from ossia.server.sse import stream

IDLE = 1000
ASK = {"model": NAME, "input": "What is it?", "stream": True}


@pytest.fixture
def dial():
    """dial(port, data): a client of sockets alone, closed when the test ends."""
    with contextlib.ExitStack() as clients:

        def connect(port: int, data: bytes = b"") -> socket.socket:
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            client.sendall(data)
            return client

        yield connect


def post(body: dict, path: str = "/v1/responses") -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def is_cut(client: socket.socket) -> bool:
    """Whether the server ends the connection without a word."""
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def wait_until(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def healthy(url: str) -> bool:
    return httpx2.get(f"{url}/health").status_code == 200


@pytest.fixture
def quick():
    return Puppet(lambda _: final("Yes."))


@pytest.fixture
def talker():
    """Talks for a long time, and counts who stops listening."""
    return Puppet(lambda _: final("word " * 4000), seconds_per_token=0.005)


def test_a_head_that_comes_drop_by_drop_is_cut_off(quick, dial):
    with hosted(service_of(quick), head_s=0.6) as server:
        client = dial(server.port, b"GET /health HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(150):
                client.sendall(b"X-A: b\r\n")
                time.sleep(0.01)
        assert is_cut(client)
        silent = dial(server.port)
        assert is_cut(silent)
        assert healthy(server.url)


def test_the_second_head_on_a_connection_may_not_drip_either(quick, monkeypatch, dial):
    monkeypatch.setattr("ossia.server.front.connections.KEEP_ALIVE_S", 0)
    with hosted(service_of(quick), head_s=0.6) as server:
        client = dial(server.port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /health HT")
        assert b"200 OK" in client.recv(4096)
        with contextlib.suppress(ConnectionError):
            while client.recv(4096):
                pass
        assert healthy(server.url)


@pytest.mark.parametrize(
    "words",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS says hello
        b"\x00\xff" * 100,
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000,
        b"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1, 2\r\n\r\n",
        b"POST /v1/responses HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ],
    ids=["tls", "bytes", "long header", "two lengths", "two hosts"],
)
def test_what_is_no_http_is_400_and_the_server_goes_on(quick, words, dial):
    with hosted(service_of(quick), head_s=2) as server:
        client = dial(server.port, words + b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert b" 400 " in client.recv(4096)
        assert healthy(server.url)


def test_a_body_that_comes_drop_by_drop_is_408(quick, dial):
    with hosted(service_of(quick), Access(body_s=0.3)) as server:
        client = dial(server.port, post(ASK)[:-10])
        assert b" 408 " in client.recv(4096)
        assert healthy(server.url)


def test_an_answer_may_take_longer_than_a_head_and_a_body():
    quickly = Puppet(lambda _: final("word " * 150), seconds_per_token=0.01)
    with hosted(service_of(quickly), Access(body_s=0.6), head_s=0.6) as server:
        answer = httpx2.post(f"{server.url}/v1/responses", json=ASK)
        assert "response.completed" in answer.text


def test_a_stream_nobody_reads_does_not_hold_its_place(dial):
    shouter = Puppet(lambda _: final("word " * 100_000))
    with hosted(service_of(shouter), Access(write_s=0.3)) as server:
        dial(server.port, post(ASK))
        wait_until(lambda: shouter.left == 1, 20)
        wait_until(lambda: httpx2.get(f"{server.url}/health").json()["running"] == 0)


def test_the_idlest_connection_makes_room_and_the_busy_ones_stay(talker, dial):
    with hosted(service_of(talker), connections=20) as server:
        busy = dial(server.port, post(ASK))
        assert b"200 OK" in busy.recv(4096)
        idle = [dial(server.port) for _ in range(200)]
        assert healthy(server.url)
        assert is_cut(idle[0])
        assert busy.recv(4096)
        assert len(server.host.server_state.connections) <= 20
        for client in (busy, *idle):
            client.close()


def test_where_all_are_busy_a_new_connection_is_turned_away(talker, dial):
    with hosted(service_of(talker), connections=1) as server:
        busy = dial(server.port, post(ASK))
        assert b"200 OK" in busy.recv(4096)
        assert b" 503 " in dial(server.port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").recv(4096)
        busy.close()
        wait_until(lambda: talker.left == 1)
        assert healthy(server.url)


def test_a_thousand_idle_connections_do_not_stop_the_server(quick, dial):
    allow_files(2 * IDLE)  # both ends are in this process
    with hosted(service_of(quick), connections=IDLE + 10, head_s=30) as server:
        idle = [dial(server.port) for _ in range(IDLE)]
        assert healthy(server.url)
        assert "response.completed" in httpx2.post(f"{server.url}/v1/responses", json=ASK).text
        for client in idle:
            client.close()
        wait_until(lambda: len(server.host.server_state.connections) <= 1)


@pytest.mark.parametrize("way", ["close", "half", "reset"])
def test_however_a_client_leaves_its_answer_ends(talker, way, dial):
    with hosted(service_of(talker)) as server:
        client = dial(server.port, post(ASK))
        assert client.recv(4096)
        if way == "half":
            client.shutdown(socket.SHUT_WR)
        elif way == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        if way != "half":
            client.close()
        wait_until(lambda: talker.left == 1)
        client.close()


def test_a_client_that_leaves_the_queue_gives_up_its_place(talker, dial):
    with hosted(service_of(talker, admission=Admission(1, 4))) as server:
        running = dial(server.port, post(ASK))
        assert running.recv(4096)
        waiting = dial(server.port, post(ASK))
        whole = dial(server.port, post({**ASK, "stream": False}))
        wait_until(lambda: httpx2.get(f"{server.url}/health").json()["queued"] == 2)
        waiting.close()
        whole.close()
        wait_until(lambda: httpx2.get(f"{server.url}/health").json()["queued"] == 0)
        running.close()
        wait_until(lambda: httpx2.get(f"{server.url}/health").json()["running"] == 0)
        assert len(talker.prompts) == 1


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions", "/api/chat"])
def test_two_hundred_clients_that_disconnect_leave_nothing(path, dial):
    talker = Puppet(lambda _: final("word " * 4000), seconds_per_token=0.005)
    body = {**ASK, "messages": [{"role": "user", "content": "What is it?"}]}
    with hosted(service_of(talker, admission=Admission(64, 200))) as server:
        assert healthy(server.url)
        before = server.tasks()
        clients = [dial(server.port, post(body, path)) for _ in range(200)]
        wait_until(lambda: len(talker.prompts) >= 32, 30)
        for client in clients:
            client.close()
        wait_until(lambda: httpx2.get(f"{server.url}/health").json()["running"] == 0, 30)
        wait_until(lambda: talker.left == len(talker.prompts))
        wait_until(lambda: server.tasks() <= before)
        assert healthy(server.url)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_comments_say_how_far_a_long_prompt_is_read(path, monkeypatch):
    class Reader(Puppet):
        async def _play(self, ids, params, cached):
            yield PromptProgress(512, 10_000)
            await asyncio.sleep(1.0)
            async for item in super()._play(ids, params, cached):
                yield item

    monkeypatch.setattr("ossia.server.sse.stream", partial(stream, comment_s=0.1))
    body = {**ASK, "messages": [{"role": "user", "content": "What is it?"}]}
    with hosted(service_of(Reader(lambda _: final("Yes.")))) as server:
        text = httpx2.post(server.url + path, json=body).text
    assert "\n: reading the prompt, 512 of 10000 tokens\n\n" in f"\n{text}"
    assert "Yes" in text
