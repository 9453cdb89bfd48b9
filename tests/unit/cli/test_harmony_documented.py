"""The examples of docs/cli.md, run."""

import json
import re
from pathlib import Path

import pytest

from ossia.cli.app import App
from ossia.cli.main import execute

from .harmony_inputs import calling, write

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")
EXAMPLES = re.findall(r"```console\n\$ ossia (harmony .*)\n((?:.*\n)*?)```", PAGE)
BROKEN = (
    "<|start|>user<|message|>What is 2?<|end|><|start|>assistant<|channel|>analysis<|message|>A number."
    "<|start|>assistant<|channel|>commentary to=functions.calculator<|message|>{}<|end|>\n"
)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize(("line", "expected"), EXAMPLES)
def test_an_example_prints_what_the_page_says(
    line: str,
    expected: str,
    app: App,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "broken.txt", BROKEN)
    rows = [json.dumps(calling(city)) for city in ['{"city": "Busan"}'] * 6 + ['{"city": 3}']]
    write(tmp_path, "rows.jsonl", "\n".join(rows))
    execute(line.split(), app)
    assert capsys.readouterr().out == expected
