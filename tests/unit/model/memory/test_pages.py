"""Mapped rows are let go of, keep their values, and memory of our own is never touched."""

import mmap

import numpy as np
import pytest

from ossia.model.memory.pages import MappedRows, _mapping

ROWS, WIDTH = 4096, 512


@pytest.fixture
def mapped(tmp_path, rng):
    values = rng.integers(0, 65536, (ROWS, WIDTH)).astype(np.uint16)
    (tmp_path / "rows").write_bytes(bytes(100) + values.tobytes())
    with (tmp_path / "rows").open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(data, np.uint16, ROWS * WIDTH, 100).reshape(ROWS, WIDTH), values


def resident(address):
    """KiB of the mapping at `address` that count as this process's."""
    inside = False
    with open("/proc/self/smaps") as smaps:
        for line in smaps:
            if "-" in line.split()[0]:
                begin, end = (int(x, 16) for x in line.split()[0].split("-"))
                inside = begin <= address < end
            elif inside and line.startswith("Rss:"):
                return int(line.split()[1])
    raise AssertionError("not mapped")


def test_pages_are_let_go_of_and_keep_their_values(mapped):
    table, values = mapped
    rows = MappedRows(table)
    np.testing.assert_array_equal(table, values)
    assert resident(table.ctypes.data) >= table.nbytes // 1024
    rows.touched(300)
    assert resident(table.ctypes.data) <= 64  # pages at the edges, and what else lies there
    np.testing.assert_array_equal(table, values)


def test_few_rows_are_kept(mapped):
    table, values = mapped
    rows = MappedRows(table)
    np.testing.assert_array_equal(table, values)
    rows.touched(255)
    assert resident(table.ctypes.data) >= table.nbytes // 1024


def test_memory_of_our_own_is_never_let_go_of(rng):
    values = rng.integers(0, 65536, (ROWS, WIDTH)).astype(np.uint16)
    copy = values.copy()
    MappedRows(copy).touched(10**6)
    np.testing.assert_array_equal(copy, values)


def test_only_views_of_a_mapping_count_as_mapped(mapped):
    table, _ = mapped
    assert _mapping(table[3:]) is not None
    assert _mapping(np.array(table)) is None
    assert _mapping(np.frombuffer(bytes(8), np.uint8)) is None
