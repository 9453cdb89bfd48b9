"""How long work tells how far it is: the one shape every part of the hub reports in."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""`progress(what, done, total)`: the step or file, and bytes of it done and in all (total 0: unknown)."""


def silent(what: str, done: int, total: int) -> None:
    """A `Progress` that says nothing."""
