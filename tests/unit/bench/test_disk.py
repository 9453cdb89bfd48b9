"""The disk probe reads what is there, and says nothing where it cannot."""

import os
from pathlib import Path

import pytest

from ossia.bench.disk import sequential_read


def test_a_large_file_has_a_rate(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(20 << 20))
    rate = sequential_read(file)
    assert rate is None or rate > 0  # a file system in memory has no direct reading


def test_a_small_file_has_none(tmp_path: Path) -> None:
    file = tmp_path / "small"
    file.write_bytes(bytes(1000))
    assert sequential_read(file) is None


def test_without_direct_reading_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(9 << 20))

    def refuse(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "open", refuse)
    assert sequential_read(file) is None
