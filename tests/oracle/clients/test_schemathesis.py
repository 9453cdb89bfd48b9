"""schemathesis drives the server by its own document: no 5xx, no answer that the document does not describe.

Every operation is asked with what the document allows and with what it forbids; ids in answers are used in
the requests that follow.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import schemathesis
from jsonschema import Draft202012Validator
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "server"))

from puppet import NAME, Puppet, final, running, service_of

from ossia.server.store import Store

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@schemathesis.deserializer("application/x-ndjson")
def lines(context, response):
    """The first line stands for all: each of them has the same shape."""
    return json.loads(response.content.splitlines()[0])


STREAMED = {
    "/chat/completions": ("ChatChunk", "Error"),
    "/responses": ("ResponseEvent",),
    "/api/chat": ("OllamaChatAnswer", "OllamaError"),
    "/api/generate": ("OllamaGenerateAnswer", "OllamaError"),
}


class Streams:
    """Holds every piece of a stream to the document: schemathesis looks at the outer form alone."""

    def __init__(self, document: dict) -> None:
        self._validators = {
            path: Draft202012Validator(
                {
                    "anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in names],
                    "components": document["components"],
                }
            )
            for path, names in STREAMED.items()
        }
        self.pieces = 0

    def problems(self, uri: str, kind: str, content: bytes) -> Iterator[str]:
        path = next((path for path in STREAMED if path in uri), None)
        if path is None or kind not in ("text/event-stream", "application/x-ndjson"):
            return
        for line in content.splitlines():
            data = line.removeprefix(b"data: ")
            if data.startswith(b"{"):
                self.pieces += 1
                yield from (
                    error.message[:300] for error in self._validators[path].iter_errors(json.loads(data))
                )


def narrowed(document: dict) -> dict:
    """The document with the one model that is here: any other name is answered by 404 alone."""
    for name, schema in document["components"]["schemas"].items():
        if name.endswith("Request") or name == "OllamaNamed":
            schema["properties"]["model"] = {"enum": [NAME]}
    return document


def drive(url: str, examples: int, coverage: bool) -> tuple[Counter, dict[str, str]]:
    """Answers by status, and what was wrong with any. `coverage`: every boundary of every field too."""
    phase = {"generation": {"max-examples": examples}}
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "base-url": url,
            "continue-on-failure": True,
            "request-timeout": 20,
            "generation": {"deterministic": True, "no-shrink": True, "database": "none"},
            "phases": {"coverage": {"enabled": coverage}, "fuzzing": phase, "stateful": phase},
            "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
        }
    )
    document = narrowed(httpx2.get(f"{url}/openapi.json").json())
    schema = schemathesis.openapi.from_dict(document, config=config)
    seen: Counter = Counter()
    streams = Streams(document)
    wrong: dict[str, str] = {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            take(event.recorder, streams, seen, wrong)
        if isinstance(event, events.NonFatalError | events.FatalError):
            error = event.value if isinstance(event, events.NonFatalError) else event.exception
            wrong[f"{type(error).__name__}: {error}"[:500]] = getattr(event, "label", "")
    assert streams.pieces or not coverage, "nothing was streamed"
    return seen, wrong


def take(recorder, streams: Streams, seen: Counter, wrong: dict[str, str]) -> None:
    for id, interaction in recorder.interactions.items():
        response = interaction.response
        seen[response.status_code if response else "no answer"] += 1
        if response:
            kind = response.headers.get("content-type", [""])[0].partition(";")[0]
            for problem in streams.problems(interaction.request.uri, kind, response.content):
                wrong.setdefault(
                    f"{recorder.label}: a piece of a stream: {problem}", str(interaction.request.body)
                )
        for check in recorder.checks.get(id, ()):
            if check.failure_info is not None:
                failure, request = check.failure_info.failure, interaction.request
                what = f"{recorder.label}: {failure.title} {failure.message.splitlines()[:1]}"
                told = response and (response.status_code, response.content[:1000])
                wrong.setdefault(what, f"{request.method} {request.uri}\n{request.body!r:.2000}\n{told}")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The URL of a server that stores what it answers."""
    puppet = Puppet(lambda prompt: final("Hello.", "They greet."))
    with running(service_of(puppet, store=Store.open(tmp_path / "ossia.db"))) as url:
        yield url


def assert_sound(url: str, requests: int, examples: int, coverage: bool = False) -> None:
    seen, wrong = drive(url, examples, coverage)
    print(dict(seen), sum(seen.values()))
    report = "\n\n".join(f"{what}\n{where}" for what, where in wrong.items())
    assert not wrong, report[:20_000]
    assert sum(seen.values()) >= requests
    assert seen[200] > requests / 5, "most requests were refused: the document does not say what is accepted"


@pytest.mark.filterwarnings("ignore")
def test_the_document_and_the_server_agree(served) -> None:
    assert_sound(served, requests=200, examples=6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_document_and_the_server_agree_over_five_thousand_requests(served) -> None:
    assert_sound(served, requests=5000, examples=120, coverage=True)
