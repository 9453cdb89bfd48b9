"""The cases and the files of the golden tests."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent


@pytest.fixture(scope="session")
def words_cases() -> dict[str, Any]:
    return runpy.run_path(str(FOLDER / "words_cases.py"))


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, Any]]:
    return lambda name: json.loads((FOLDER / name).read_text())
