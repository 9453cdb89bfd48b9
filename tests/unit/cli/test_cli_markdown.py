"""Streamed Markdown is coloured, never changed."""

import pytest

from ossia.cli.chat.markdown import Markdown


def looks(text: str, piece: int = 1000) -> dict[str, str]:
    """The characters of each look, in order."""
    markdown = Markdown()
    runs = [run for i in range(0, len(text), piece) for run in markdown.feed(text[i : i + piece])]
    runs += markdown.flush()
    assert "".join(part for part, _ in runs) == text
    return {look: "".join(part for part, own in runs if own == look) for look in ("strong", "code")}


@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("text", "strong", "code"),
    [
        ("a **b c** d", "**b c**", ""),
        ("# Title\ntext", "# Title", ""),
        ("call `f(x)` now", "", "`f(x)`"),
        ("```py\na ** b\n```\nafter", "", "```pya ** b```"),
        ("2 ** 3 and 4 * 5", "", ""),
        ("* one\n* two", "", ""),
        ("`a ** b` c", "", "`a ** b`"),
        ("**open\n\nnext", "**open", ""),
        ("`open\n\nnext", "", "`open"),
        ("***", "", ""),
        ("ends with **", "", ""),
    ],
)
def test_looks(text: str, strong: str, code: str, piece: int) -> None:
    assert looks(text, piece) == {"strong": strong, "code": code}
