"""`ossia bench`: making a checkpoint and measuring it, on a screen and as JSON."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ossia.bench import run
from ossia.bench.make import make_checkpoint
from ossia.bench.run import Plan
from ossia.cli.app import App
from ossia.cli.bench import run as run_view
from ossia.cli.main import execute
from ossia.settings import Settings, load_settings

Capture = pytest.CaptureFixture[str]
WANTED = (
    "decode_tok_s", "decode_roofline_tok_s", "prefill_512_tok_s", "prefill_2048_tok_s",
    "prefill_roofline_tok_s", "streams_4_tok_s", "streams_8_tok_s", "load_s", "peak_rss_bytes",
    "bandwidth_bytes_s", "flop_s",
)  # fmt: skip


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(rounds=1, prefill_rounds=1, sample_s=0.01, depth=64, buffer_bytes=1 << 20, probe_s=0.001)
    monkeypatch.setattr(run_view, "QUICK", plan)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that holds the tiny shape with one layer."""
    folder = tmp_path_factory.mktemp("cache")
    make_checkpoint("tiny", layers=1, settings=replace(load_settings({}), cache_dir=folder))
    return folder


@pytest.fixture
def app(settings: Settings, cache: Path) -> App:
    return App(replace(settings, cache_dir=cache))


def test_make_says_where_and_how_to_go_on(settings: Settings, capsys: Capture) -> None:
    command = ["bench", "make", "--shape", "tiny", "--layers", "1", "--routing", "zipf"]
    assert execute(command, App(settings)) == 0
    said = capsys.readouterr()
    path = settings.cache_dir / "bench" / "tiny-1-layers-zipf"
    assert said.out.splitlines() == [
        f"made tiny-1-layers-zipf: 51.6 MB at {path}",
        "Measure it with: ossia bench run tiny-1-layers-zipf",
    ]
    assert said.err.splitlines() == ["making tiny-1-layers-zipf"]
    assert execute(command, App(settings)) == 0
    assert "already there" in capsys.readouterr().out


def test_the_depth_is_an_option(app: App, capsys: Capture, short: None) -> None:
    command = ["bench", "run", "bench/tiny-1-layers", "--quick", "--json", "--threads", "1", "--depth", "130"]
    assert execute(command, app) == 0
    assert json.loads(capsys.readouterr().out)["depth_tokens"] == 130


def test_run_as_json(app: App, capsys: Capture, short: None) -> None:
    assert execute(["bench", "run", "bench/tiny-1-layers", "--quick", "--json", "--threads", "1"], app) == 0
    values = json.loads(capsys.readouterr().out)
    assert all(values[key] > 0 for key in WANTED)
    assert values["synthetic"] is True
    assert values["threads"] == 1
    assert values["flop_s_kind"].startswith("int8")


def test_a_table_says_that_weights_are_random(app: App, capsys: Capture, short: None) -> None:
    assert execute(["bench", "run", "tiny-1-layers", "--quick", "--numerics", "f32"], app) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tiny-1-layers · 1 layers · f32 · ")
    assert lines[1].startswith("Random weights")
    assert lines[3].split() == ["tokens", "per", "second", "median", "range", "roofline", "share"]
    assert [line.split("  ")[0] for line in lines[4:10]] == [
        "decode, 1 stream", "decode, 4 streams together", "decode, 8 streams together",
        "decode after 64 tokens", "prompt of 512", "prompt of 2,048",
    ]  # fmt: skip
    assert any(line.startswith("peak arithmetic") and "f32" in line for line in lines)


def test_korean(app: App, capsys: Capture, short: None) -> None:
    assert execute(["bench", "run", "tiny-1-layers", "--quick", "--lang", "ko"], app) == 0
    assert "무작위 가중치" in capsys.readouterr().out


def test_a_shape_nobody_knows_is_refused(app: App, capsys: Capture) -> None:
    assert execute(["bench", "make", "--shape", "7b"], app) == 2
    assert "7b" in capsys.readouterr().err


def test_alone_it_lists_its_commands(app: App, capsys: Capture) -> None:
    assert execute(["bench"], app) == 0
    out = capsys.readouterr().out
    assert "make" in out
    assert "run" in out


def test_the_quick_plan_is_the_shorter_one() -> None:
    assert run.QUICK.rounds < Plan().rounds
    assert run.QUICK.sample_s < Plan().sample_s


def test_depth_says_that_keys_and_values_are_random(
    app: App, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ossia.bench.depth._BUFFER_BYTES", 1 << 20)
    command = ["bench", "depth", "tiny-1-layers", "--quick", "--depth", "100", "--kv-cache", "int8"]
    assert execute(command, app) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("Random weights")
    assert lines[2].startswith("Keys and values of the long context are random: int8")
    assert "decode after 100 tokens" in lines[6]
    assert lines[-1].startswith("planned for ")
