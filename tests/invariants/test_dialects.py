"""One request in three dialects is one request: the same prompt ids, and the same sampled ids.

On a tiny native engine with random weights, over HTTP. The second and third answers come out of the prefix
cache, which changes nothing either.
"""

import json
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import httpx2
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "server"))

from puppet import running

from ossia.agent.model import Model, ModelCard
from ossia.backends.base import Item
from ossia.backends.native import NativeBackend
from ossia.engine import EngineOptions, build_engine
from ossia.model.checkpoint import open_checkpoint
from ossia.model.config import load_config
from ossia.model.sampling import SamplingParams, Token
from ossia.model.weights import load_weights
from ossia.server.models.fixed import FixedModel
from ossia.server.service import Service
from ossia.tokenizer import load_checkpoint_tokenizer

ROOT = Path(__file__).parents[1]
SYSTEM, QUESTION, NAME = "Be brief.", "Weather in Oslo?", "tiny"
ARGUMENTS = {"city": "Oslo"}
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "A city."}},
    "required": ["city"],
}
WEATHER = {"name": "weather", "description": "The weather somewhere.", "parameters": PARAMETERS}
SCHEMA = {"type": "object", "properties": {"dry": {"type": "boolean"}}, "required": ["dry"]}
TOKENS = 80
SAMPLING = {"temperature": 0.7, "top_p": 0.9, "seed": 11}


class Recording(NativeBackend):
    """Keeps what it was given and what was sampled."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.prompts: list[list[int]] = []
        self.sampled: list[list[int]] = []

    def generate(self, prompt_ids: Sequence[int], params: SamplingParams) -> AsyncGenerator[Item, None]:
        self.prompts.append(list(prompt_ids))
        self.sampled.append([])
        return self._record(super().generate(prompt_ids, params), self.sampled[-1])

    async def _record(
        self, items: AsyncGenerator[Item, None], sampled: list[int]
    ) -> AsyncGenerator[Item, None]:
        async with aclosing(items):
            async for item in items:
                if isinstance(item, Token):
                    sampled.append(item.id)
                yield item


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Recording, str]]:
    spec = spec_from_file_location("tiny_checkpoint_of_the_dialects", ROOT / "unit" / "hub" / "tiny.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    folder: Path = module.write_checkpoint(tmp_path_factory.mktemp("dialects") / "tiny")
    config = load_config(folder)
    weights = load_weights(open_checkpoint(folder, config), config, "q8")
    backend = Recording(build_engine(config, weights, "q8", EngineOptions(kv_bytes=4 << 20)))
    model = Model(backend, load_checkpoint_tokenizer(folder / "tokenizer.json"), ModelCard(NAME))
    with running(Service(FixedModel(model))) as url:
        yield backend, url


def responses(after_call: bool, format: bool, stream: bool) -> tuple[str, dict[str, Any]]:
    items: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]
    if after_call:
        call = {"type": "function_call", "call_id": "c", "name": "weather"}
        items += [
            {**call, "arguments": json.dumps(ARGUMENTS, separators=(",", ":"))},
            {"type": "function_call_output", "call_id": "c", "output": "rain"},
        ]
    body: dict[str, Any] = {
        "model": NAME,
        "instructions": SYSTEM,
        "input": items,
        "tools": [{"type": "function", **WEATHER}],
        "reasoning": {"effort": "low"},
        "max_output_tokens": TOKENS,
        "stream": stream,
        "store": False,
        **SAMPLING,
    }
    if format:
        body["text"] = {"format": {"type": "json_schema", "name": "response", "schema": SCHEMA}}
    return "/v1/responses", body


def chat(after_call: bool, format: bool, stream: bool) -> tuple[str, dict[str, Any]]:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": QUESTION},
    ]
    if after_call:
        function = {"name": "weather", "arguments": json.dumps(ARGUMENTS, separators=(",", ":"))}
        messages += [
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": "c", "content": "rain"},
        ]
    body: dict[str, Any] = {
        "model": NAME,
        "messages": messages,
        "tools": [{"type": "function", "function": WEATHER}],
        "reasoning_effort": "low",
        "max_completion_tokens": TOKENS,
        "stream": stream,
        **SAMPLING,
    }
    if format:
        schema = {"name": "response", "schema": SCHEMA}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return "/v1/chat/completions", body


def ollama(after_call: bool, format: bool, stream: bool) -> tuple[str, dict[str, Any]]:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": QUESTION},
    ]
    if after_call:
        messages += [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "weather", "arguments": ARGUMENTS}}],
            },
            {"role": "tool", "tool_name": "weather", "content": "rain"},
        ]
    body: dict[str, Any] = {
        "model": NAME,
        "messages": messages,
        "tools": [{"type": "function", "function": WEATHER}],
        "think": "low",
        "options": {**SAMPLING, "num_predict": TOKENS},
        "stream": stream,
    }
    return "/api/chat", body | ({"format": SCHEMA} if format else {})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("after_call", "format"), [(False, False), (True, False), (False, True)])
def test_one_request_in_three_dialects_is_the_same_tokens(
    served: tuple[Recording, str], after_call: bool, format: bool, stream: bool
) -> None:
    backend, url = served
    before = len(backend.prompts)
    for dialect in (responses, chat, ollama):
        path, body = dialect(after_call, format, stream)
        answer = httpx2.post(url + path, json=body, timeout=60)
        assert answer.status_code == 200, answer.text
    prompts, sampled = backend.prompts[before:], backend.sampled[before:]
    assert len(prompts) == 3
    assert prompts[0] == prompts[1] == prompts[2]
    assert sampled[0] == sampled[1] == sampled[2]
    assert len(set(sampled[0])) > 5
