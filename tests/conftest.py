"""What every test shares: the promise that only the oracle needs torch."""

import sys
from importlib.abc import MetaPathFinder

import pytest


class NoTorch(MetaPathFinder):
    """Refuses torch, so that `make test` shows it is not needed even where it is installed."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname.partition(".")[0] in ("torch", "transformers", "peft"):
            raise ModuleNotFoundError(
                f"No module named {fullname!r} (these tests run without it)", name=fullname
            )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-torch", action="store_true", help="refuse to import torch")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--without-torch"):
        sys.meta_path.insert(0, NoTorch())
