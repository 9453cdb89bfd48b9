"""docs/training-view.md is true: what its examples print is what it shows."""

import contextlib
import io
import re
from pathlib import Path

PAGE = (Path(__file__).parents[3] / "docs" / "training-view.md").read_text("utf-8")
EXAMPLE = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_example_prints_what_the_page_shows() -> None:
    names: dict[str, object] = {}
    found = EXAMPLE.findall(PAGE)
    assert len(found) == 2
    for code, shown in found:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(code, "docs/training-view.md", "exec"), names)
        assert said.getvalue() == shown
