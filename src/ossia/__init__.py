"""Ossia: the way to play OpenAI's open-weight gpt-oss models on the computer people have.

``import ossia`` stays light: the names below load their rooms when first touched, so
``import ossia.harmony`` brings in neither kernels nor engine.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any

__version__ = version("ossia")

_LAZY = {
    "load": ("ossia.hub.load", "load"),
    "connect": ("ossia.hub.cluster", "connect"),
    "Model": ("ossia.agent.model", "Model"),
    "Chat": ("ossia.agent.model", "Chat"),
    "OssiaError": ("ossia.errors", "OssiaError"),
}

__all__ = ["Chat", "Model", "OssiaError", "__version__", "connect", "load"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'ossia' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
