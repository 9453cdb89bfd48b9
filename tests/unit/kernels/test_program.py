"""Programs: recorded once, run often, refusing what does not fit; and the threads under them."""

import ctypes
import gc
import os
import platform
import threading
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from ossia.kernels import cpu, ops
from ossia.kernels.tensors import Activation, Matrix


def doubling(rng, rows=4, width=64, n=64):
    """A program of a linear, its input and its output."""
    x, act = rng.standard_normal((rows, width)).astype(np.float32), Activation.empty(rows, width, "f32")
    w = Matrix("f32", 2 * np.eye(n, width, dtype=np.float32)[None])
    out, p = np.zeros((rows, n), np.float32), ops.Program()
    ops.quantize(p, x, act)
    ops.linear(p, act, w, None, out)
    return p, x, out


def test_nothing_is_computed_before_run(rng):
    p, x, out = doubling(rng)
    assert len(p) == 2
    assert not out.any()
    p.run()
    np.testing.assert_array_equal(out, 2 * x)


def test_a_program_runs_again_on_new_contents(rng):
    p, x, out = doubling(rng)
    for _ in range(3):
        x[...] = rng.standard_normal(x.shape)
        p.run()
        np.testing.assert_array_equal(out, 2 * x)


def test_a_program_keeps_its_arrays_alive(rng):
    w = Matrix("f32", np.ones((1, 8, 32), np.float32))
    watched, out = weakref.ref(w.data), np.zeros((1, 8), np.float32)
    act, p = Activation.empty(1, 32, "f32"), ops.Program()
    act.data[:] = 1
    ops.linear(p, act, w, None, out)
    del w, act
    gc.collect()
    assert watched() is not None
    p.run()
    assert (out == 32).all()
    del p
    gc.collect()
    assert watched() is None


def test_a_recorded_program_follows_a_new_plan(rng):
    p, x, out = doubling(rng)
    for isa in cpu.available_isas():
        for threads in (1, 2, 4):
            cpu.configure(isa, threads)
            out[:] = 0
            p.run()
            np.testing.assert_array_equal(out, 2 * x)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 64), np.float64), "format"),
        (np.zeros((4, 63), np.float32), "shape"),
        (np.zeros((4, 64), np.float32, order="F"), "contiguous"),
        (np.zeros((8, 64), np.float32)[::2], "contiguous"),
        ([1.0, 2.0], "contiguous"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_when_recorded(array, message):
    p = ops.Program()
    with pytest.raises(AssertionError, match=f"quantize: x .*{message}"):
        ops.quantize(p, array, Activation.empty(4, 64, "q8"))
    assert len(p) == 0


def test_outputs_must_be_writable():
    out = np.zeros((1, 16), np.float32)
    out.flags.writeable = False
    with pytest.raises(AssertionError, match="writable"):
        ops.embed(ops.Program(), np.zeros((3, 16), np.float32), np.zeros(1, np.int32), out)


def test_inputs_may_be_read_only():
    table, out = np.ones((3, 16), np.float32), np.zeros((1, 16), np.float32)
    table.flags.writeable = False
    p = ops.Program()
    ops.embed(p, table, np.zeros(1, np.int32), out)
    p.run()
    assert (out == 1).all()


def test_a_failed_run_stops_and_the_next_one_is_clean():
    table, ids, out = np.ones((3, 16), np.float32), np.array([3], np.int32), np.zeros((1, 16), np.float32)
    copy, p = np.zeros((1, 16), np.float32), ops.Program()
    ops.embed(p, table, ids, out)
    ops.gather_rows(p, table, np.zeros(1, np.int32), copy)
    with pytest.raises(AssertionError, match="token id"):
        p.run()
    assert not copy.any()
    ids[0] = 2
    p.run()
    assert (copy == 1).all()


def test_runs_from_several_python_threads_take_turns(rng):
    cpu.configure(threads=2)
    cases = [doubling(rng, 9, 256, 256) for _ in range(4)]
    wrong: list[int] = []

    def again(i: int) -> None:
        p, x, out = cases[i]
        for turn in range(30):
            x[:] = turn + i
            p.run()
            if not (out == 2 * (turn + i)).all():
                wrong.append(i)

    threads = [threading.Thread(target=again, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_many_small_jobs_on_more_threads_than_cores(rng):
    cpu.configure(threads=7)
    p, x, out = doubling(rng, 3, 256, 256)
    for turn in range(300):
        x[:] = turn
        p.run()
        assert (out == 2 * turn).all()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_computes_with_threads_of_its_own(rng):
    cpu.configure(threads=2)
    p, x, out = doubling(rng, 8, 256, 256)
    p.run()
    child = os.fork()
    if child == 0:
        x[:] = 5
        p.run()
        os._exit(0 if (out == 10).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    p.run()
    np.testing.assert_array_equal(out, 2 * x)


@pytest.fixture
def flushing() -> Iterator[None]:
    """This thread flushes subnormals to zero, as a library built with -ffast-math may leave it."""
    libm = ctypes.CDLL("libm.so.6")
    before = (ctypes.c_uint32 * 8)()  # fenv_t; the last word is MXCSR
    assert libm.fegetenv(before) == 0
    flush = (ctypes.c_uint32 * 8)(*before)
    flush[7] |= 0x8040
    assert libm.fesetenv(flush) == 0
    yield
    libm.fesetenv(before)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="MXCSR is x86's")
@pytest.mark.usefixtures("flushing")
def test_flush_to_zero_set_by_others_does_not_change_bits():
    tiny = np.float32(2.0**-70)
    assert tiny * tiny == 0
    w = Matrix("f32", np.full((1, 1, 32), tiny))
    act, out, p = Activation.empty(1, 32, "f32"), np.zeros((1, 1), np.float32), ops.Program()
    act.data[:] = tiny
    ops.linear(p, act, w, None, out)
    p.run()
    assert out.view(np.uint32)[0, 0] == 1 << 14  # 32 times 2^-140
    assert tiny * tiny == 0
