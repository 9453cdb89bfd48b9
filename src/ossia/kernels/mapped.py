"""Pages of a mapped file, brought into memory before kernels read them."""

import numpy as np
from numpy.typing import NDArray

from ossia.kernels import _native


def populate(mapped: NDArray[np.uint8]) -> None:
    """Bring the pages of a mapped array (n,) into memory for reading, without the GIL.

    Linux from 5.14 does it in one call; elsewhere each page is touched. Raises OSError where the file is
    shorter than its map or cannot be read.
    """
    _native.populate(mapped)
