from ossia.agent.events import Note, Usage
from ossia.server.extension import extension


def test_each_warning_once():
    notes = [Note("a", "x"), Note("a", "x"), Note("b")]
    assert extension(notes) == {"warnings": [{"code": "a", "message": "x"}, {"code": "b", "message": ""}]}


def test_timings():
    usage = Usage(
        prompt_tokens=90, cached_tokens=60, output_tokens=21, seconds=3.0, first_token_s=1.0, steps=1
    )
    assert extension([], usage)["timings"] == {
        "prompt_tokens": 90,
        "cached_tokens": 60,
        "prompt_s": 1.0,
        "output_tokens": 21,
        "output_s": 2.0,
        "tokens_per_second": 10.0,
    }


def test_timings_without_a_token():
    timings = extension([], Usage(seconds=0.5))["timings"]
    assert (timings["prompt_s"], timings["output_s"], timings["tokens_per_second"]) == (0.5, 0.0, None)
