"""The examples of docs/compat.md, run; `tests/oracle/test_harmony_compat.py` runs them on openai-harmony."""

import re
from pathlib import Path

import pytest

import ossia.harmony.compat as compat

PAGE = (Path(__file__).parents[3] / "docs" / "compat.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
CASE = re.compile(r"(.*\n)?(.*)\n# there: (.*)\n# here: (.*)\n", re.DOTALL)
PRELUDE = "".join(block for block in BLOCKS if not CASE.fullmatch(block))
CASES = [match.groups(default="") for block in BLOCKS if (match := CASE.fullmatch(block))]


def outcome(number: int, prelude: str = PRELUDE, **names: object) -> str:
    """What an example comes to, as Python writes it; the name of what it raises."""
    before, expression, *_ = CASES[number]
    exec(prelude + CASES[0][0], names)  # the second example goes on from the first
    try:
        exec(before, names)
        return ascii(eval(expression, names))
    except Exception as error:
        return type(error).__name__


def test_each_difference_has_an_example() -> None:
    numbers = [int(number) for number in re.findall(r"^### (\d+)\.", PAGE, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(CASES) >= 20
    assert all(there != here for _, _, there, here in CASES)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_examples_say_what_happens_here(number: int) -> None:
    assert outcome(number) == CASES[number][3]


def test_the_import_names_what_there_is() -> None:
    assert set(re.findall(r"^    (\w+),$", PRELUDE, re.MULTILINE)) <= set(compat.__all__)
