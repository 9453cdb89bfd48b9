"""A hand on an answer under way, from any thread."""

import threading
from typing import Protocol


class Hurried(Protocol):
    """What can be told to close the chain of thought (a FrameMask); safe to call from any thread."""

    def answer_now(self) -> None: ...


class Control:
    """Give one to an answer, and ask it to answer now from wherever you are. Good for one answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = False
        self._step: Hurried | None = None

    @property
    def asked(self) -> bool:
        """Whether the answer was asked for."""
        return self._asked

    def answer_now(self) -> None:
        """Close the chain of thought as soon as may be, and have the model answer.

        Never inside a call or the answer itself. It holds for the rest of the answer: thoughts after a tool's
        result are closed at once as well. Asking twice, or too late, is no mistake.
        """
        with self._lock:
            self._asked = True
            if self._step is not None:
                self._step.answer_now()

    def watch(self, step: Hurried | None) -> None:
        """Hand what is asked, now and from now on, to the step that begins."""
        with self._lock:
            self._step = step
            if self._asked and step is not None:
                step.answer_now()
