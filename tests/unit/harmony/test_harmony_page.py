"""docs/harmony.md is true: its code runs, prints what is shown, and its Harmony is well-formed."""

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ossia.harmony.formats.text import ids_from_text
from ossia.harmony.parse import parse
from ossia.tokenizer import load_o200k_harmony

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "harmony.md").read_text("utf-8")
TOK = load_o200k_harmony()
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"\$ echo ('.*?') \| ossia ([^\n]*)\n(.*)", re.DOTALL)
EXAMPLE = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def test_every_example_prints_what_the_page_shows() -> None:
    names: dict[str, object] = {}
    for code, shown in EXAMPLE.findall(PAGE):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(code, "docs/harmony.md", "exec"), names)
        assert said.getvalue() == shown, code


@pytest.mark.parametrize("block", [text for kind, text in FENCE.findall(PAGE) if kind == "console"])
def test_every_command_prints_what_the_page_shows(block: str, tmp_path: Path) -> None:
    match = COMMAND.fullmatch(block)
    assert match is not None, "commands read a text given to echo"
    (text,), arguments, shown = shlex.split(match[1]), shlex.split(match[2]), match[3]
    done = subprocess.run(
        [sys.executable, "-m", "ossia", *arguments],
        input=f"{text}\n",
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "OSSIA_LANG": "en", "OSSIA_HOME": str(tmp_path), "PYTHONUTF8": "1"},
        check=False,
    )
    assert done.stdout == shown, done.stderr


def test_no_block_escapes_these_tests() -> None:
    blocks = [kind for kind, _ in FENCE.findall(PAGE)]
    shown = sum(bool(output) for _, output in EXAMPLE.findall(PAGE))
    assert set(blocks) == {"harmony", "python", "text", "console"}
    assert blocks.count("text") == shown
    assert PAGE.count("\n```") == 2 * len(blocks)


@pytest.mark.parametrize("block", [text for kind, text in FENCE.findall(PAGE) if kind == "harmony"])
def test_the_harmony_shown_is_well_formed(block: str) -> None:
    ids = ids_from_text(block.removesuffix("\n").replace("\n<|start|>", "<|start|>"), TOK)
    messages, diagnostics = parse(ids, TOK)
    assert len(messages) == block.count("<|message|>")
    assert diagnostics == []


def test_the_table_of_control_tokens_is_the_vocabularys() -> None:
    rows = re.findall(r"^\| `<\\\|(\w+)\\\|>` \| (\d+) \|", PAGE, re.MULTILINE)
    assert len(rows) == 7
    assert {f"<|{name}|>": int(i) for name, i in rows}.items() <= TOK.special_tokens.items()


def test_the_picture_is_drawn_from_what_is_rendered() -> None:
    drawing = runpy.run_path(str(ROOT / "scripts" / "draw_harmony.py"))
    assert drawing["draw"]() == drawing["PICTURE"].read_text("utf-8"), "run scripts/draw_harmony.py"


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", PAGE)
    assert ("images/harmony-turns.svg", "") in links
    for target, anchor in links:
        file = ROOT / "docs" / (target or "harmony.md")
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file.read_text("utf-8")), (target, anchor)


def _anchors(page: str) -> set[str]:
    """The names GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
