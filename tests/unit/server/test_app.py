"""The frame around the dialects: health, and errors as their clients read them."""

import httpx2
from puppet import NAME, Puppet, final, running, service_of


def test_health_answers_and_an_unknown_path_is_an_error_of_the_dialect():
    with running(service_of(Puppet(lambda _: final("Hello.")))) as url:
        healthy = httpx2.get(f"{url}/health")
        assert healthy.json() == {"status": "ok", "model": NAME, "running": 0, "queued": 0}
        assert healthy.headers["x-request-id"].startswith("req_")
        missing = httpx2.get(f"{url}/v1/nothing")
        assert missing.status_code == 404
        assert set(missing.json()["error"]) == {"message", "type", "param", "code"}
        assert isinstance(httpx2.get(f"{url}/api/nothing").json()["error"], str)


def test_a_fault_of_ours_is_told_as_one_and_nothing_of_its_inside(monkeypatch):
    service = service_of(Puppet(lambda _: final("Hello.")))

    def broken():
        raise ZeroDivisionError("what only the log may say")

    monkeypatch.setattr(service.models, "installed", broken)
    with running(service) as url:
        answer = httpx2.get(f"{url}/v1/models")
        assert (answer.status_code, answer.json()["error"]["type"]) == (500, "server_error")
        assert "only the log" not in answer.text
        assert httpx2.get(f"{url}/health").status_code == 200
