"""The Responses API over the real engine and a model of random weights: what was asked for is what comes."""

import json
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import httpx2
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "server"))

from puppet import running

from ossia.agent.model import Model, ModelCard
from ossia.backends.native import NativeBackend
from ossia.engine import EngineOptions, build_engine
from ossia.model.checkpoint import open_checkpoint
from ossia.model.config import load_config
from ossia.model.weights import load_weights
from ossia.server.models.fixed import FixedModel
from ossia.server.service import Service
from ossia.tokenizer import load_checkpoint_tokenizer

ROOT = Path(__file__).parents[1]
SEEDS = range(3)
SHIRT = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "sizes": {"type": "array", "items": {"enum": ["S", "M", "L"]}, "minItems": 1, "maxItems": 3},
        "stock": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "sizes", "stock"],
    "additionalProperties": False,
}
PAINT = {
    "type": "function",
    "name": "paint",
    "parameters": {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}, "coats": {"type": "integer", "maximum": 9}},
        "required": ["colour", "coats"],
        "additionalProperties": False,
    },
}
DATE = {
    "type": "custom",
    "name": "date",
    "format": {"type": "grammar", "syntax": "regex", "definition": r"\d{4}-[01]\d-[0-3]\d"},
}
SUM = {
    "type": "custom",
    "name": "sum",
    "format": {
        "type": "grammar",
        "syntax": "lark",
        "definition": 'start: NUMBER ("+" NUMBER)~1..3\nNUMBER: /[0-9]{1,3}/',
    },
}
SPACE = {"type": "namespace", "name": "studio", "description": "A studio.", "tools": [PAINT, DATE]}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    spec = spec_from_file_location("tiny_checkpoint_of_the_server", ROOT / "unit" / "hub" / "tiny.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = module.write_checkpoint(tmp_path_factory.mktemp("tiny") / "tiny")
    config = load_config(folder)
    weights = load_weights(open_checkpoint(folder, config), config, "q8")
    backend = NativeBackend(build_engine(config, weights, "q8", EngineOptions(kv_bytes=8 << 20)))
    model = Model(backend, load_checkpoint_tokenizer(folder), ModelCard("tiny"))
    with running(Service(FixedModel(model))) as base:
        yield f"{base}/v1/responses"


def ask(url, seed, **body):
    """The last item of a response."""
    fields = {"model": "tiny", "input": "Do it.", "seed": seed, "reasoning": {"max_tokens": 4}, **body}
    response = httpx2.post(url, json=fields, timeout=120)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["status"] == "completed", answer["incomplete_details"]
    return answer["output"][-1]


def check_paint(item):
    assert (item["type"], item["name"]) == ("function_call", "paint")
    arguments = json.loads(item["arguments"])
    assert arguments.keys() == {"colour", "coats"}
    assert arguments["colour"] in ("red", "green")
    assert type(arguments["coats"]) is int


@pytest.mark.parametrize("seed", SEEDS)
def test_an_answer_of_its_schema(url, seed):
    form = {"type": "json_schema", "name": "shirt", "schema": SHIRT, "strict": True}
    item = ask(url, seed, text={"format": form})
    shirt = json.loads(item["content"][0]["text"])
    assert shirt.keys() == {"name", "sizes", "stock"}
    assert len(shirt["name"]) <= 12
    assert set(shirt["sizes"]) <= {"S", "M", "L"}
    assert 0 <= shirt["stock"] <= 99


@pytest.mark.parametrize("seed", SEEDS)
def test_a_required_tool_is_called(url, seed):
    item = ask(url, seed, tools=[PAINT, DATE], tool_choice="required")
    if item["name"] == "paint":
        check_paint(item)
    else:
        assert re.fullmatch(r"\d{4}-[01]\d-[0-3]\d", item["input"])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_named_function_is_called(url, seed):
    check_paint(ask(url, seed, tools=[DATE, PAINT, SUM], tool_choice={"type": "function", "name": "paint"}))


@pytest.mark.parametrize(
    ("tool", "pattern"), [(DATE, r"\d{4}-[01]\d-[0-3]\d"), (SUM, r"\d{1,3}(\+\d{1,3}){1,3}")]
)
def test_a_custom_tools_input_matches_its_grammar(url, tool, pattern):
    for seed in SEEDS:
        choice = {"type": "custom", "name": tool["name"]}
        item = ask(url, seed, tools=[PAINT, tool], tool_choice=choice)
        assert (item["type"], item["name"]) == ("custom_tool_call", tool["name"])
        assert re.fullmatch(pattern, item["input"])


def test_a_namespaces_tools(url):
    for seed in SEEDS:
        only = {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "namespace", "name": "studio"}],
        }
        item = ask(url, seed, tools=[SUM, SPACE], tool_choice=only)
        assert item["namespace"] == "studio"
        assert item["name"] in ("paint", "date")


def test_no_tool_where_none_may_be(url):
    item = ask(url, 1, tools=[PAINT], tool_choice="none", text={"format": {"type": "json_object"}})
    assert isinstance(json.loads(item["content"][0]["text"]), dict)
