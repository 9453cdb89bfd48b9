"""The end in good order: nothing new, what runs may finish, and an error its client can read otherwise."""

import json
import threading
import time

import httpx2
import pytest
from puppet import NAME, Puppet, final, hosted, service_of

from ossia.errors import SettingsError
from ossia.server.front.hosting import bind
from ossia.server.operations.admission import Admission

ASK = {"model": NAME, "input": "What is it?", "stream": True}


def events(text: str) -> list[dict]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


def asked(url: str, into: list, **fields) -> threading.Thread:
    def ask():
        into.append(httpx2.post(f"{url}/v1/responses", json={**ASK, **fields}, timeout=30))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def wait_for_running(server, running: int, queued: int = 0) -> None:
    for _ in range(500):
        told = httpx2.get(f"{server.url}/health").json()
        if (told["running"], told["queued"]) == (running, queued):
            return
        time.sleep(0.01)
    pytest.fail("the requests did not arrive")


def test_what_runs_may_finish_and_who_waits_is_told():
    puppet = Puppet(lambda _: final("word " * 100), seconds_per_token=0.005)
    running, waiting = [], []
    with hosted(service_of(puppet, admission=Admission(1, 4)), grace_s=20) as server:
        first = asked(server.url, running)
        wait_for_running(server, 1)
        second = asked(server.url, waiting, stream=False)
        wait_for_running(server, 1, 1)
        server.host.stop()
        first.join(20)
        second.join(20)
    assert events(running[0].text)[-1]["type"] == "response.completed"
    assert waiting[0].status_code == 503
    assert "stopping" in waiting[0].json()["error"]["message"]


def test_after_the_grace_an_answer_ends_with_an_error_in_its_stream():
    puppet = Puppet(lambda _: final("word " * 4000), seconds_per_token=0.005)
    answers = []
    with hosted(service_of(puppet), grace_s=0.1) as server:
        thread = asked(server.url, answers)
        wait_for_running(server, 1)
        server.host.stop()
        thread.join(20)
    last = events(answers[0].text)[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"]["message"]


def test_a_second_signal_does_not_wait():
    puppet = Puppet(lambda _: final("word " * 4000), seconds_per_token=0.005)
    answers = []

    def ask(url):
        try:
            answers.append(httpx2.post(f"{url}/v1/responses", json=ASK, timeout=30))
        except httpx2.TransportError as error:
            answers.append(error)

    with hosted(service_of(puppet), grace_s=600) as server:
        thread = threading.Thread(target=ask, args=(server.url,))
        thread.start()
        wait_for_running(server, 1)
        server.host.handle_exit(2, None)
        server.host.handle_exit(2, None)
    thread.join(20)
    assert len(answers) == 1


def test_a_port_is_taken_once():
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(SettingsError, match=str(port)):
            bind("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_an_error():
    with pytest.raises(SettingsError):
        bind("192.0.2.1", 0)
