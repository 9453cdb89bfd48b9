"""The table of bench/compare.py and what bench/charts.py makes of it: medians, ratios, goals, marks."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

BENCH = Path(__file__).parents[3] / "bench"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a module of the bench folder, which is no package."""
    monkeypatch.syspath_prepend(str(BENCH))
    yield import_module
    for name in ("peers", "peers.results", "charts"):
        sys.modules.pop(name, None)


def run(**samples: list[list[float | None]]) -> dict[str, Any]:
    return {"samples": samples, "seconds": 1.0, "threads": 2, "layers": 24, "synthetic": True}


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    file = tmp_path / "peers.json"
    gib = 1 << 30
    runs = {
        "ossia/decode 1": run(decode=[[12, 30], [10, 20]], decode_share=[[0.9, 30]], ready_s=[[2.0, None]]),
        "ossia/decode 2": run(decode=[[11, 20]], peak_rss_bytes=[[12 * gib, None]]),
        "ossia-avx2/prompts 1": run(prefill_512=[[50, None]]),
        "llama.cpp/decode 1": run(decode=[[5, 10]], ready_s=[[9.0, None]], peak_rss_bytes=[[20 * gib, None]]),
        "llama.cpp-avx2/prompts 1": run(prefill_512=[[25, None]]),
    }
    file.write_text(json.dumps({"runs": runs}))
    return file


def lines(results: ModuleType, file: Path) -> dict[str, Any]:
    return {line.row.name: line for line in results.Results(file).lines()}


def test_medians_of_all_passes_and_ratios(scripts: Any, measured: Path) -> None:
    found = lines(scripts("peers.results"), measured)
    decode = found["decode, one stream"]
    assert (decode.ours, decode.ours_range, decode.ratio) == (11, (10, 12), 2.2)
    assert decode.equal == pytest.approx(1.0)  # 0.4, 0.5 and 0.55 tokens for what memory gave, against 0.5
    assert (decode.goal, decode.met) == ("≥ 1.3×", True)


def test_goals_of_memory_shares_and_other_builds(scripts: Any, measured: Path) -> None:
    found = lines(scripts("peers.results"), measured)
    assert {name: (line.goal, line.met) for name, line in found.items() if "decode, one" not in name} == {
        "decode, share of the read probe": ("≥ 0.95", False),
        "peak memory": ("≤ 11.5 GiB", False),
        "ready, warm cache": ("≤ 2.50 s", True),
        "prompt of 512, AVX2": ("≥ 2.5×", False),
    }


def test_what_one_side_lacks_has_no_row(scripts: Any, measured: Path) -> None:
    peers = {line.row.peer for line in scripts("peers.results").Results(measured).lines()}
    assert "ik_llama.cpp" not in peers


def test_the_page_is_written_between_its_marks_and_nowhere_else(
    scripts: Any, measured: Path, tmp_path: Path
) -> None:
    charts = scripts("charts")
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{charts.BEGIN}\nold\n{charts.END}\nafter\n")
    charts.fill(page, charts.tables(scripts("peers.results").Results(measured)))
    text = page.read_text()
    assert text.startswith(f"before\n{charts.BEGIN}")
    assert text.endswith(f"{charts.END}\nafter\n")
    assert "old" not in text
    assert "| decode, one stream | 11.0 | 10.0–12.0 | llama.cpp | 5.0 |" in text


def test_a_page_without_marks_is_left_alone(scripts: Any, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("mine")
    with pytest.raises(SystemExit):
        scripts("charts").fill(page, "x")
    assert page.read_text() == "mine"


def test_the_picture_is_well_formed_and_shows_every_engine(scripts: Any, measured: Path) -> None:
    drawing = scripts("charts").peers_picture(scripts("peers.results").Results(measured))
    said = {element.text for element in ElementTree.fromstring(drawing).iter() if element.text}
    assert {"ossia", "llama.cpp", "11.0", "12.0 GiB", "2.00 s"} <= said
