"""Every example of docs/python.md runs, top to bottom, on a model that answers by rule."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import ossia
from ossia.agent.events import _TYPES  # pyright: ignore[reportPrivateUsage]
from ossia.agent.model import Model, ModelCard
from ossia.model.sampling import SamplingParams
from ossia.tokenizer import Tokenizer

from .masked_backend import MaskedBackend

PAGE = (Path(__file__).parents[3] / "docs" / "python.md").read_text("utf-8")
CALL = ' to=functions.forecast<|channel|>commentary <|constrain|>json<|message|>{"city": "Busan"}<|call|>'
FINAL = (
    "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>"
)


class ByRule:
    """Calls the forecast where it is offered and was not asked yet, otherwise answers yes, or how high."""

    capabilities = MaskedBackend.capabilities
    context_length = 8192

    def __init__(self, tok: Tokenizer, ids: Callable[[str], list[int]]) -> None:
        self._tok = tok
        self._ids = ids

    def generate(self, prompt_ids: Sequence[int], params: SamplingParams) -> Any:
        prompt = self._tok.decode(prompt_ids)
        asked = prompt.rsplit("<|start|>user", 1)[1]
        calls = "type forecast" in prompt and "functions.forecast" not in asked
        answer = FINAL.replace("Yes.", '{"metres": 330, "sure": true}') if "Eiffel" in asked else FINAL
        return MaskedBackend(self._tok, self._ids(CALL if calls else answer)).generate(prompt_ids, params)

    async def close(self) -> None: ...


def test_the_examples_run(
    tok: Tokenizer,
    ids: Callable[[str], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(name: str) -> Model:
        assert name == "pocket"
        return Model(ByRule(tok, ids), tok, ModelCard("pocket"))

    monkeypatch.setattr(ossia, "load", load, raising=False)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile("\n".join(blocks), "docs/python.md", "exec"), {})
    said = capsys.readouterr().out
    assert said.startswith("Yes.\n")
    assert "Name three of them." in said
    assert 'functions.forecast {"city": "Busan"} -> {"city": "Busan", "unit": "C"' in said
    assert '{"city": "Busan"}\n330\n' in said
    assert "\n[stop, " in said
    assert "['Yes.', 'Yes.', 'Yes.']" in said


def test_the_table_names_every_event() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \| `([\w.]+)` \|", PAGE, re.MULTILINE))
    assert rows == {(kind.__name__, name) for kind, name in _TYPES.items()}
