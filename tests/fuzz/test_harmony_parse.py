"""200,000 tokens of mutated and random Harmony: the parser's promises hold whatever it is fed."""

import runpy
from pathlib import Path

import pytest

PROMISES = runpy.run_path(str(Path(__file__).with_name("parser_promises.py")))
TOKENS = 200_000


@pytest.mark.parametrize("role", PROMISES["ROLES"])
@pytest.mark.parametrize("make", PROMISES["MAKERS"])
def test_promises_hold(make: object, role: str | None) -> None:
    share = 4 if make is PROMISES["mutated"] else 8
    met = PROMISES["run"](make, role, TOKENS // share, "ci")
    assert met["messages"] > 0
    assert met["messages with their ids"] > 0 or make is not PROMISES["mutated"]
