"""Backends: token ids in, tokens out."""

from ossia.backends.base import Backend, Capabilities
from ossia.backends.native import NativeBackend
from ossia.backends.scripted import ScriptedBackend

__all__ = ["Backend", "Capabilities", "NativeBackend", "ScriptedBackend"]
