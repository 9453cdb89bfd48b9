"""Filling arrays from files in one native call: what arrives, what fails, and that it can be stopped."""

import errno
import mmap
import os

import numpy as np
import pytest

from ossia.kernels.loading import ENDED, NOT_FINITE, Loading, carry_out
from ossia.kernels.tensors import bf16_to_f32, f32_to_bf16, pack_matrix

BEFORE = 13  # bytes before the tensor, so that it lies at an odd place
ROWS, WIDTH = 3100, 2880  # more than one task of 16 MiB, and no whole number of them


def ignored(done):
    """Progress that nobody looks at."""


@pytest.fixture(scope="module")
def values():
    return f32_to_bf16(np.random.default_rng(5).standard_normal((ROWS, WIDTH)).astype(np.float32))


@pytest.fixture
def fd(values, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(bytes(BEFORE) + values.tobytes())
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("threads", [1, 3])
def test_everything_arrives(fd, values, threads):
    loading = Loading()
    data, scales = np.empty((ROWS, WIDTH), np.int8), np.empty((ROWS, WIDTH // 32), np.float32)
    wide, raw = np.empty(values.size, np.float32), np.empty(values.nbytes, np.uint8)
    with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as area:
        mapped = np.frombuffer(area, np.uint8, values.nbytes, BEFORE)
        loading.populate(mapped, fd, BEFORE)
        loading.pack(data, scales, fd, BEFORE, True)
        loading.widen(wide, fd, BEFORE)
        loading.read(raw, fd, BEFORE)
        assert carry_out(loading, threads, ignored) is None
        assert loading.done() == 4 * values.nbytes
        del mapped, loading
    expected = pack_matrix(values, "q8")
    np.testing.assert_array_equal(data, expected.data[0])
    np.testing.assert_array_equal(scales, expected.scales[0])
    np.testing.assert_array_equal(wide, bf16_to_f32(values).reshape(-1))
    np.testing.assert_array_equal(raw, values.view(np.uint8).reshape(-1))


def test_float32_is_packed_too(tmp_path):
    w = np.random.default_rng(6).standard_normal((40, 96)).astype(np.float32)
    (tmp_path / "w").write_bytes(w.tobytes())
    data, scales = np.empty(w.shape, np.int8), np.empty((40, 3), np.float32)
    loading = Loading()
    with (tmp_path / "w").open("rb") as file:
        loading.pack(data, scales, file.fileno(), 0, False)
        assert carry_out(loading, 2, ignored) is None
    np.testing.assert_array_equal(data, pack_matrix(w, "q8").data[0])
    np.testing.assert_array_equal(scales, pack_matrix(w, "q8").scales[0])


def test_pages_are_brought_in(fd, values):
    area = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
    mapped = np.frombuffer(area, np.uint8, values.nbytes, BEFORE)

    def resident_kib():
        begin = f"{mapped.ctypes.data - BEFORE:x}-"
        with open("/proc/self/smaps") as smaps:
            lines = iter(smaps)
            next(line for line in lines if line.startswith(begin))
            return int(next(line for line in lines if line.startswith("Rss:")).split()[1])

    assert resident_kib() == 0
    loading = Loading()
    loading.populate(mapped, fd, BEFORE)
    assert carry_out(loading, 2, ignored) is None
    assert resident_kib() * 1024 >= values.nbytes


@pytest.mark.parametrize("threads", [1, 2])
def test_a_file_that_ends_early_is_named(fd, values, threads):
    loading = Loading()
    loading.widen(np.empty(values.size, np.float32), fd, BEFORE)
    loading.read(np.empty(values.nbytes, np.uint8), fd, BEFORE + 1)
    assert carry_out(loading, threads, ignored) == (1, ENDED)


def test_a_map_longer_than_its_file_is_an_error_not_a_crash(tmp_path):
    path = tmp_path / "w"
    path.write_bytes(bytes(1 << 20))
    with path.open("r+b") as file:
        area = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        file.truncate(4096)
        loading = Loading()
        loading.populate(np.frombuffer(area, np.uint8), file.fileno(), 0)
        assert carry_out(loading, 1, ignored) == (0, errno.EFAULT)


def test_values_that_are_not_numbers_are_found(tmp_path):
    w = np.ones((64, 64), np.float32)
    w[50, 60] = np.nan
    (tmp_path / "w").write_bytes(w.tobytes())
    with (tmp_path / "w").open("rb") as file:
        loading = Loading()
        loading.pack(np.empty((64, 64), np.int8), np.empty((64, 2), np.float32), file.fileno(), 0, False)
        assert carry_out(loading, 2, ignored) == (0, NOT_FINITE)


def test_a_descriptor_that_cannot_be_read_gives_the_systems_error(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    loading = Loading()
    loading.read(np.empty(10, np.uint8), fd, 0)
    assert carry_out(loading, 1, ignored) == (0, errno.EISDIR)
    os.close(fd)


def test_an_interrupt_stops_the_threads(tmp_path):
    (tmp_path / "w").touch()
    os.truncate(tmp_path / "w", 16 << 20)
    out, told = np.empty(16 << 20, np.uint8), []

    def interrupted(done):
        told.append(done)
        raise KeyboardInterrupt

    with (tmp_path / "w").open("rb") as file:
        loading = Loading()
        for _ in range(10_000):  # 160 GB: minutes
            loading.read(out, file.fileno(), 0)
        with pytest.raises(KeyboardInterrupt):
            carry_out(loading, 2, interrupted)
    assert len(told) == 1
    assert loading.done() < 10_000 * out.nbytes


def test_arrays_of_a_wrong_type_are_refused():
    loading = Loading()
    with pytest.raises(AssertionError, match="widen: out"):
        loading.widen(np.empty(4, np.float64), 0, 0)
    with pytest.raises(AssertionError, match="read: out"):
        loading.read(np.empty(4, np.float32), 0, 0)
    with pytest.raises(AssertionError, match="multiple of 32"):
        loading.pack(np.empty((2, 40), np.int8), np.empty((2, 1), np.float32), 0, 0, True)
    read_only = np.empty(4, np.uint8)
    read_only.flags.writeable = False
    with pytest.raises(AssertionError, match="writable"):
        loading.read(read_only, 0, 0)


def test_what_is_dropped_from_the_cache_arrived_all_the_same(tmp_path, rng):
    values = rng.integers(0, 256, 1 << 20).astype(np.uint8)
    (tmp_path / "w").write_bytes(values.tobytes())
    out = np.empty_like(values)
    with (tmp_path / "w").open("rb") as file:
        loading = Loading()
        loading.read(out, file.fileno(), 0)
        assert carry_out(loading, 1, ignored, drop=True) is None
    np.testing.assert_array_equal(out, values)
