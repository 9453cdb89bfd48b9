"""Filling arrays from files: noted one by one, then carried out in one native call without the GIL.

One call, because another thread of Python may hold the GIL for a second while a model is loaded.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ossia.kernels import _native

Loading = _native.Loading
"""Notes transfers of bytes of an open file, each from an offset: `populate` brings mapped pages into memory,
`read` copies bytes, `widen` makes float32 of bf16, `pack` makes q8 of bf16 or float32 (see `pack_rows`)."""

ENDED, NOT_FINITE = -1, -2  # errors beside the system's: the file is too short; a value to pack is inf or NaN
_TOLD_EVERY_S = 0.05


def carry_out(
    loading: Loading, threads: int, told: Callable[[int], None], *, drop: bool = False
) -> tuple[int, int] | None:
    """Do all that was noted, in that order, on `threads` threads; `told` hears the bytes done now and then.

    `drop`: what was read, not mapped, is dropped from the page cache, where a limit counts that too.

    Returns None, or the index of the transfer that failed and the error: an errno, ENDED or NOT_FINITE.
    An interrupt stops the threads within milliseconds.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="loading") as caller:
        running = caller.submit(loading.run, threads, drop)
        try:
            while True:
                try:
                    return running.result(_TOLD_EVERY_S)
                except TimeoutError:
                    told(loading.done())
        finally:
            loading.stop()
