"""Taking turns with other Python threads quickly.

A step gives the GIL back while it is in native code and needs it again afterwards. Beside a thread that
never sleeps CPython hands it over only every `sys.getswitchinterval()`, 5 ms by default: longer than
many a step. The interval belongs to the process; it matters only where threads compete.
"""

import sys

SWITCH_INTERVAL_S = 50e-6


class SwitchInterval:
    """Shortens the process's switch interval to SWITCH_INTERVAL_S, and puts back what it found.

    One that finds it short already leaves that to whoever shortened it, so they can be nested and overlap.
    """

    def __init__(self) -> None:
        self._found: float | None = None

    def shorten(self) -> None:
        """Make it short, if it is not."""
        now = sys.getswitchinterval()
        if now > SWITCH_INTERVAL_S:
            self._found = now
            sys.setswitchinterval(SWITCH_INTERVAL_S)

    def restore(self) -> None:
        """Put back what `shorten` found, unless somebody has set another since."""
        if self._found is not None and sys.getswitchinterval() <= SWITCH_INTERVAL_S:
            sys.setswitchinterval(self._found)
        self._found = None

    def __enter__(self) -> None:
        self.shorten()

    def __exit__(self, *_: object) -> None:
        self.restore()
