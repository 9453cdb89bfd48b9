"""What is a loop, and above all what is none: text as people ask for it."""

import base64
import json
import random

import pytest

from ossia.agent.repetition import LONGEST_PERIOD, Loop, RepetitionWatch, run_limit
from ossia.tokenizer import load_o200k_harmony

TOK = load_o200k_harmony()


def watch(ids: list[int]) -> tuple[Loop | None, int]:
    """The loop that was found, and after how many ids."""
    seen = RepetitionWatch()
    for n, token_id in enumerate(ids, 1):
        if loop := seen.feed(token_id):
            return loop, n
    return None, len(ids)


REFRAIN = """The wind is on the water and the moon is on the hill,
and I have walked the whole way home and I am walking still.
    Oh, carry me, carry me, carry me over,
    carry me, carry me home.
"""
POEM = "\n".join(
    f"{line}\n{REFRAIN}"
    for line in (
        "The first night there was snow.",
        "The second night there was rain, and nobody on the road.",
        "The third night I had company, and lost it in the fog.",
        "The last night there was none.",
        "And now I sing it once again.",
    )
)
CODE = "    if (x[i] != y[i]) { errors += 1; }\n" * 20 + "    return errors;\n"
BINARY = base64.b64encode(random.Random(1).randbytes(3000) + bytes(1200) + random.Random(2).randbytes(300))
TEXTS = {
    "numbers": ", ".join(map(str, range(2000))),
    "the same number": ", ".join(["0.0"] * 200),
    "a zero array of 256": json.dumps([0] * 256),
    "a zero image of 28 by 28": json.dumps([[0] * 28] * 28),
    "bytes in C": "\n".join(["    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,"] * 32),
    "a markdown rule": "Title\n" + "-" * 200 + "\n\n" + "=" * 120 + "\n",
    "a markdown table": "| a | b | c |\n|---|---|---|\n" + "| yes | no | yes |\n" * 60,
    "a wide table": "|" + "---|" * 60 + "\n",
    "a ruler": ("1234567890" * 12 + "\n") * 3 + "....:...." * 30,
    "spaces": "x" + " " * 400 + "y",
    "CSV": "id,name,value,unit\n" + "".join(f"{n},sensor,0.00,mV\n" for n in range(300)),
    "CSV with equal rows": "0,0,1,0,NA\n" * 70,
    "base64": BINARY.decode(),
    "a poem with a refrain": POEM,
    "lines of code": CODE,
    "a sentence written forty times": "I will not talk in class again, nor throw paper at anybody.\n" * 40,
    "laughter": "ha" * 200,
    "a chessboard": ("# . # . # . # .\n. # . # . # . #\n") * 4,
    "JSON": json.dumps([{"id": n, "name": "x", "tags": [], "on": True} for n in range(100)], indent=2),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_meant_so_is_no_loop(name: str) -> None:
    ids = TOK.encode(TEXTS[name])
    assert watch(ids) == (None, len(ids))


@pytest.mark.parametrize("period", [1, 2, 3, 7, 8, 9, 11, 12, 13, 50, 100, 199, 300, LONGEST_PERIOD])
@pytest.mark.parametrize("before", [0, 5, 700])
def test_every_period_is_found_once_it_has_lasted(period: int, before: int) -> None:
    rng = random.Random(period)
    stretch = rng.sample(range(1000), period)
    start = [rng.randrange(1000, 2000) for _ in range(before)]
    loop, after = watch(start + stretch * (8000 // period))
    assert loop is not None
    assert (loop.period, loop.tokens) == (period, run_limit(stretch))
    assert after == before + period + run_limit(stretch)


def test_the_limits_are_as_they_are_described() -> None:
    assert run_limit([1]) == 512
    assert run_limit([1, 2]) == run_limit([1, 2, 3, 4, 5, 6, 7, 8] * 3) == 2560
    assert run_limit(range(9)) == run_limit(range(204)) == 1024
    assert run_limit(range(400)) == 2000


def test_a_longer_period_is_not_looked_for() -> None:
    assert watch(random.Random(0).sample(range(10_000), LONGEST_PERIOD + 1) * 20)[0] is None


@pytest.mark.parametrize(
    "text",
    [
        "Wait, let me check that again. 2 plus 2 is 4, so the answer should be 4. ",
        "the ",
        "I am sorry, I cannot answer. ",
        '{"name": "x"}, ',
        "\n",
    ],
)
def test_loops_as_models_fall_into_them_are_found(text: str) -> None:
    loop, after = watch(TOK.encode("Let me think about it. ") + TOK.encode(text) * 4000)
    assert loop is not None
    assert after < 2600


def test_a_stretch_that_is_partly_itself_repetitive_is_found() -> None:
    rows = [i for n in range(12) for i in (*[7] * 20, 100 + n)]
    loop, _ = watch(rows * 40)
    assert loop is not None
    assert loop.period == len(rows)


def test_a_loop_that_is_left_in_time_is_none() -> None:
    said = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] * 80
    assert watch([*said, 99, *said, 98, *said])[0] is None
