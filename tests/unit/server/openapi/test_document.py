"""Our own OpenAPI document: sound in itself, and about the routes there are, all of them."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator
from puppet import Puppet, final, running, service_of
from starlette.routing import Route

from ossia import __version__
from ossia.server.app import build_app
from ossia.server.openapi.document import document

TOLD = document()
OPERATIONS = [
    (path, method, operation)
    for path, methods in TOLD["paths"].items()
    for method, operation in methods.items()
]


def inside(value: Any) -> Iterator[dict]:
    """Every object in one."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from inside(inner)


def test_it_describes_the_routes_there_are() -> None:
    app = build_app(service_of(Puppet(lambda prompt: final("Hi."))))
    routes = {
        (re.sub(r"^/page/.+", "/page/{file}", re.sub(r":\w+}", "}", route.path)), method.lower())
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods - {"HEAD"}
    }
    assert {(path, method) for path, method, _ in OPERATIONS} == routes


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    names = {part["$ref"].removeprefix("#/components/schemas/") for part in inside(TOLD) if "$ref" in part}
    assert names == TOLD["components"]["schemas"].keys()


@pytest.mark.parametrize("name", TOLD["components"]["schemas"])
def test_every_schema_is_one(name) -> None:
    Draft202012Validator.check_schema(TOLD["components"]["schemas"][name])


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=lambda part: str(part)[:40])
def test_every_operation_is_whole(path, method, operation) -> None:
    assert operation["summary"].endswith(".")
    told = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"]
    assert told == re.findall(r"{(\w+)}", path)
    assert {"200", "400", "401", "404", "429"} <= operation["responses"].keys()
    assert ("requestBody" in operation) <= (method in ("post", "delete"))


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(names) == len(set(names))


def test_it_is_served() -> None:
    with running(service_of(Puppet(lambda prompt: final("Hi.")))) as url:
        served = httpx2.get(f"{url}/openapi.json").json()
    assert served == TOLD
    assert (served["openapi"], served["info"]["version"]) == ("3.1.0", __version__)
