"""A measurement of a model small enough to be measured in a second: everything is there and positive."""

from pathlib import Path

import pytest

from ossia.bench.make import Made
from ossia.bench.run import Plan, bench_model, joint_rate, synthetic_folder
from ossia.errors import ModelNotFoundError
from ossia.settings import Settings

from ..hub.tiny import write_checkpoint  # noqa: TID252  (a test is no package to be imported by name)

PLAN = Plan(rounds=2, prefill_rounds=1, sample_s=0.01, depth=192, buffer_bytes=1 << 20, probe_s=0.001)
NAMES = ("decode", "streams_4", "streams_8", "depth", "prefill_512", "prefill_2048")


def test_every_figure_is_measured_with_its_roofline(settings: Settings, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    steps: list[tuple[str, int, int]] = []
    report = bench_model(str(folder), plan=PLAN, settings=settings, progress=lambda *step: steps.append(step))
    assert set(report.figures) == set(NAMES)
    for name, figure in report.figures.items():
        rounds = PLAN.prefill_rounds if name.startswith("prefill") else PLAN.rounds
        assert len(figure.samples) == len(figure.rooflines) == rounds
        assert all(value > 0 for value in (*figure.samples, *figure.rooflines))
    assert len(report.bandwidth) == 4 * PLAN.rounds + 1
    assert len(report.peak) == 2 * PLAN.prefill_rounds + 1
    assert (report.depth, report.context_length, report.layers) == (192, 4096, 2)
    assert not report.synthetic
    assert 0 < report.load_s < report.first_token_s
    assert report.peak_rss_bytes > 1 << 20
    assert report.figures["depth"].rooflines[0] > 0
    measured = [(done, total) for what, done, total in steps if what.startswith("measuring")]
    assert measured == [(i, measured[0][1]) for i in range(measured[0][1])]


def test_what_the_context_has_no_room_for_is_left_out(settings: Settings, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", max_position_embeddings=640)
    report = bench_model(str(folder), plan=Plan(1, 1, 0.01, 4096, 1 << 20, 0.001), settings=settings)
    assert set(report.figures) == set(NAMES) - {"prefill_2048"}
    assert report.depth == 640 - 65
    assert report.to_dict()["prefill_2048_tok_s"] is None


def test_streams_count_while_all_of_them_run() -> None:
    early, late = [0.0, 1.0, 2.0, 3.0], [1.5, 2.0, 2.5, 3.0, 9.0]
    assert joint_rate([early, late]) == (2 + 3) / 1.5
    assert joint_rate([[0.0, 1.0], [2.0, 4.0]]) == 3 / 4
    assert joint_rate([early]) == 1.0


def test_a_synthetic_checkpoint_goes_by_its_name(made: Made, shared: Settings) -> None:
    assert synthetic_folder("tiny-1-layers", shared) == made.path
    assert synthetic_folder("bench/tiny-1-layers", shared) == made.path
    for other in ("20b", "", ".", "..", "../bench", "/etc", "pocket"):
        assert synthetic_folder(other, shared) is None


def test_a_model_that_is_not_here_is_said_to_be_missing(settings: Settings) -> None:
    with pytest.raises(ModelNotFoundError):
        bench_model("openai/gpt-oss-20b", plan=PLAN, settings=settings)
