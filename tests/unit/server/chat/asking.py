"""Requests to Chat Completions on a puppet's server, and their answers."""

import contextlib
import json
from collections.abc import Iterator

import httpx2
from puppet import NAME, Puppet, running, service_of

PATH = "/v1/chat/completions"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather somewhere.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


class Asker:
    """A client without a library."""

    def __init__(self, url: str, puppet: Puppet) -> None:
        self.url = url
        self.puppet = puppet

    def post(self, content: object = "Hello?", **fields) -> httpx2.Response:
        """`content`: of one user message, or the list of messages."""
        messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
        return httpx2.post(self.url + PATH, json={"model": NAME, "messages": messages, **fields})

    def ask(self, content: object = "Hello?", **fields) -> dict:
        response = self.post(content, **fields)
        assert response.status_code == 200, response.text
        return response.json()

    def message(self, content: object = "Hello?", **fields) -> dict:
        return self.ask(content, **fields)["choices"][0]["message"]

    def chunks(self, content: object = "Hello?", **fields) -> list[dict]:
        """The chunks of a stream, which must end as one does."""
        response = self.post(content, stream=True, **fields)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.text.split("\n\n") if line]
        assert lines[-1] == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]

    def refused(self, content: object = "Hello?", status: int = 400, **fields) -> dict:
        response = self.post(content, **fields)
        assert response.status_code == status, response.text
        return response.json()["error"]


@contextlib.contextmanager
def asking(answer, **options) -> Iterator[Asker]:
    """`answer`: what the puppet makes of a prompt's text, or what it always says."""
    puppet = Puppet(answer if callable(answer) else lambda _: answer, **options)
    with running(service_of(puppet)) as url:
        yield Asker(url, puppet)


def deltas(chunks: list[dict], index: int = 0) -> list[dict]:
    return [c["delta"] for chunk in chunks for c in chunk["choices"] if c["index"] == index]
