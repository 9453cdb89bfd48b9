"""Reports: medians, shares round by round, and one JSON object."""

import json
from dataclasses import replace

import pytest

from ossia.bench.report import Figure, Report
from ossia.bench.workload import Cost
from ossia.kernels.experts import ExpertCounts


def report(**figures: Figure) -> Report:
    return Report(
        model="m", synthetic=True, numerics="q8",
        kv_cache="bf16", isa="avx2", threads=2, layers=3, context_length=100,
        depth=50, cost=Cost(5.0, 6.0), figures=figures, load_s=1.0, first_token_s=1.5, peak_rss_bytes=7,
        bandwidth=(1.0, 9.0, 2.0), peak=(4.0,), peak_kind="int8", disk_bytes_s=None,
    )  # fmt: skip


def test_a_share_is_taken_round_by_round() -> None:
    drifting = Figure(samples=(5.0, 50.0, 20.0), rooflines=(10.0, 100.0, 40.0))
    assert (drifting.tok_s, drifting.roofline_tok_s, drifting.share) == (20.0, 40.0, 0.5)


def test_json_holds_every_figure_and_null_for_what_had_no_room() -> None:
    values = report(
        decode=Figure((3.0, 1.0, 2.0), (4.0, 4.0, 4.0)), prefill_512=Figure((1.0,), (8.0,))
    ).to_dict()
    assert values == json.loads(json.dumps(values))
    assert values["decode_tok_s"] == 2.0
    assert values["decode_range_tok_s"] == [1.0, 3.0]
    assert values["decode_share"] == 0.5
    assert values["bandwidth_bytes_s"] == 2.0
    assert values["bandwidth_range_bytes_s"] == [1.0, 9.0]
    assert values["prefill_2048_tok_s"] is None
    assert values["streams_8_roofline_tok_s"] is None
    assert (values["first_token_512_s"], values["first_token_2048_s"]) == (512.0, None)
    assert values["prefill_roofline_tok_s"] == 8.0


def test_the_longer_prompts_roofline_is_the_prefill_one() -> None:
    both = report(prefill_512=Figure((1.0,), (8.0,)), prefill_2048=Figure((1.0,), (7.0,)))
    assert both.to_dict()["prefill_roofline_tok_s"] == 7.0


def test_nothing_measured_is_null_everywhere() -> None:
    values = report().to_dict()
    assert values["prefill_roofline_tok_s"] is None
    assert values["decode_tok_s"] is None
    with pytest.raises(KeyError):
        values["decode"]


def test_where_experts_stream_the_report_says_what_was_read() -> None:
    streamed = replace(report(), experts=ExpertCounts(asked=8, read=2, read_bytes=5)).to_dict()
    assert (streamed["expert_hit_rate"], streamed["expert_read_bytes"]) == (0.75, 5)
    assert report().to_dict()["expert_hit_rate"] is None
