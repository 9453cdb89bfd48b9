"""Probes run with every instruction set, and name what they measured."""

import numpy as np
import pytest

from ossia.kernels import cpu
from ossia.kernels.probe import peak_ops, read_bandwidth, reading_buffer
from ossia.settings import Numerics

NAMES = {
    ("scalar", "q8"): "int8 scalar",
    ("scalar", "f32"): "f32 scalar",
    ("avx2", "q8"): "int8 vpmaddubsw 256",
    ("avx2", "bf16"): "f32 vfmadd 256",
    ("avx2", "f32"): "f32 vfmadd 256",
    ("avxvnni", "q8"): "int8 vpdpbusd 256",
    ("avx512", "q8"): "int8 vpdpbusd 512",
    ("avx512", "bf16"): "f32 vfmadd 512",
    ("avx512", "f32"): "f32 vfmadd 512",
}


@pytest.mark.parametrize(("isa", "numerics"), list(NAMES))
@pytest.mark.parametrize("threads", [1, 3])
def test_a_peak_is_that_of_the_instruction_in_use(isa: str, numerics: Numerics, threads: int) -> None:
    if isa not in cpu.available_isas():
        pytest.skip(f"this CPU has no {isa}")
    cpu.configure(isa, threads)
    peak = peak_ops(numerics, 0.001)
    assert peak.instruction == NAMES[isa, numerics]
    assert peak.ops_s > 1e6


@pytest.mark.parametrize("isa", cpu.available_isas())
@pytest.mark.parametrize("size", [1 << 16, (9 << 20) + 1000])
def test_a_buffer_of_any_size_is_read(isa: str, size: int) -> None:
    cpu.configure(isa, 2)
    buffer = reading_buffer(size)
    assert buffer.size == size
    assert buffer.min() == 1
    assert read_bandwidth(buffer) > 0


def test_only_bytes_can_be_read() -> None:
    with pytest.raises(AssertionError, match="probe_read: buffer must be"):
        read_bandwidth(np.zeros(64, np.float32))  # pyright: ignore[reportArgumentType]
