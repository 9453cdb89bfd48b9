"""Every catalogue is complete in both languages, and its placeholders agree."""

import re
from enum import Enum
from importlib import import_module
from pathlib import Path
from string import Formatter

import pytest

import ossia.cli
from ossia.cli.messages import M, Text, message

HANGUL = re.compile("[가-힣]")


def fields(text: str) -> set[tuple[str, str, str]]:
    return {
        (name, spec or "", conversion or "") for _, name, spec, conversion in Formatter().parse(text) if name
    }


def catalogues() -> list[type[Enum]]:
    """`M`, and the `W` of each family of commands that has a ``words.py``."""
    families = sorted(Path(ossia.cli.__file__).parent.glob("*/words.py"))
    return [M, *(import_module(f"ossia.cli.{file.parent.name}.words").W for file in families)]


@pytest.mark.parametrize("key", [key for words in catalogues() for key in words], ids=lambda key: key.name)
def test_both_languages_say_it_with_the_same_placeholders(key: Enum) -> None:
    text = key.value
    assert isinstance(text, Text)
    assert text.en.strip()
    assert not HANGUL.search(text.en)
    words = re.sub(r"\{[^}]*\}", "", text.ko)
    assert HANGUL.search(words) or not re.search("[a-z]{3,}", words)
    assert fields(text.en) == fields(text.ko)


def test_message_fills_in_the_language_asked_for() -> None:
    assert message(M.REMOVED, "en", name="pocket", size="1 MB") == "removed pocket, 1 MB freed"
    assert message(M.REMOVED, "ko", name="pocket", size="1 MB") == "pocket 지움, 1 MB 비움"


def test_braces_in_values_are_left_alone() -> None:
    assert message(M.SYSTEM_IS, "en", text="{x}") == "instructions: {x}"
