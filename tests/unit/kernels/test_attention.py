"""attention against float64: windows, sinks, grouped heads, paging; and the same bits however it is cut."""

import numpy as np
import pytest

from ossia.kernels import cpu, ops
from ossia.kernels.tensors import Activation

ISAS = cpu.available_isas()
KINDS = ["bf16", "int8", "f32"]


class Case:
    """One or more sequences in a shuffled cache whose unused places hold NaN."""

    def __init__(self, tools, rng, lengths, heads=4, groups=2, d=64, kind="bf16", window=0, sinks=None):
        self.lengths, self.heads, self.groups, self.d, self.window = lengths, heads, groups, d, window
        width = max((n + 63) // 64 for n in lengths) + 1
        blocks = rng.permutation(len(lengths) * width + 2).astype(np.int32)
        self.table = blocks[: len(lengths) * width].reshape(len(lengths), width).copy()
        k, v = (np.full((blocks.size, groups, 64, d), np.nan, np.float32) for _ in range(2))
        for row, n in enumerate(lengths):
            for j in range(n):
                k[self.table[row, j // 64], :, j % 64] = rng.standard_normal((groups, d))
                v[self.table[row, j // 64], :, j % 64] = rng.standard_normal((groups, d))
        self.kv = tools.kv_layer(k, v, kind)
        k, v = tools.kv_values(self.kv)
        self.keys = [np.stack([self.of_row(x, row, n) for x in (k, v)]) for row, n in enumerate(lengths)]
        for row, n in enumerate(lengths):
            self.table[row, (n + 63) // 64 :] = -1
        self.sinks = rng.standard_normal(heads).astype(np.float32) if sinks is None else sinks
        self.scale = d**-0.5

    def of_row(self, stored, row, n):
        """(n, groups, d) of a sequence."""
        return stored[self.table[row]].swapaxes(1, 2).reshape(-1, self.groups, self.d)[:n]

    def queries(self, rng, rows, positions):
        self.rows, self.positions = np.array(rows, np.int32), np.array(positions, np.int32)
        qkv = np.full((len(rows), (self.heads + 2 * self.groups) * self.d), np.nan, np.float32)
        qkv[:, : self.heads * self.d] = rng.standard_normal((len(rows), self.heads * self.d))
        self.qkv = qkv
        return self

    def run(self, numerics="f32", pick=slice(None), table=None):
        qkv, positions, rows = (np.ascontiguousarray(a[pick]) for a in (self.qkv, self.positions, self.rows))
        out = Activation.empty(len(rows), self.heads * self.d, numerics)
        p = ops.Program()
        table = self.table if table is None else table
        ops.attention(p, qkv, self.kv, positions, rows, table, self.sinks, self.window, self.scale, out)
        p.run()
        return out

    def expected(self):
        out = np.zeros((len(self.rows), self.heads, self.d))
        for t, (row, position) in enumerate(zip(self.rows, self.positions, strict=True)):
            first = max(0, position - self.window + 1) if self.window else 0
            k, v = self.keys[row][:, first : position + 1].astype(np.float64)
            for h in range(self.heads):
                q = self.qkv[t, h * self.d : (h + 1) * self.d].astype(np.float64)
                scores = np.append(k[:, h // (self.heads // self.groups)] @ q * self.scale, self.sinks[h])
                p = np.exp(scores - scores.max())
                out[t, h] = (p / p.sum())[:-1] @ v[:, h // (self.heads // self.groups)]
        return out.reshape(len(self.rows), -1)


# A score of size s carries d roundings of 2^-24 s, which its exp passes on; sums add their lengths.
def close(got, expected, d=64, keys=256):
    np.testing.assert_allclose(got, expected, rtol=0, atol=(d * 10 + keys) * 2.0**-24)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("heads", "groups", "d"), [(4, 4, 32), (9, 3, 64), (8, 1, 64), (4, 4, 16), (2, 2, 96)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_softmax_with_a_sink(isa, heads, groups, d, kind, tools, rng):
    cpu.configure(isa, 1)
    case = Case(tools, rng, [200], heads, groups, d, kind).queries(rng, [0] * 6, [0, 1, 63, 64, 127, 199])
    close(case.run().data, case.expected(), d)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("window", [1, 2, 63, 64, 65, 127, 128, 129])
def test_the_window_ends_where_it_should(isa, window, tools, rng):
    cpu.configure(isa, 1)
    positions = [0, window - 1, window, window + 1, 191, 192, 299]
    case = Case(tools, rng, [300], window=window).queries(rng, [0] * len(positions), positions)
    close(case.run().data, case.expected())


@pytest.mark.parametrize("isa", ISAS)
def test_blocks_out_of_the_window_may_be_let_go(isa, tools, rng):
    cpu.configure(isa, 1)
    case = Case(tools, rng, [300], window=128).queries(rng, [0, 0], [299, 298])
    table = case.table.copy()
    table[0, : (298 - 127) // 64] = -1
    assert (table[0, :2] == -1).all()
    tools.same_bits((case.run(table=table).data,), (case.run().data,))


def test_a_visible_block_that_is_missing_is_an_error(tools, rng):
    case = Case(tools, rng, [300], window=128).queries(rng, [0], [299])
    table = case.table.copy()
    table[0, 3] = -1
    with pytest.raises(AssertionError, match="block"):
        case.run(table=table)


@pytest.mark.parametrize(("row", "position"), [(1, 5), (-1, 5), (0, -1), (0, 64 * 3)])
def test_a_query_outside_the_table_is_an_error(row, position, tools, rng):
    case = Case(tools, rng, [100]).queries(rng, [row], [position])
    with pytest.raises(AssertionError, match="outside"):
        case.run()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("sink", [-np.inf, -100.0, 0.0, 60.0])
def test_a_sink_of_any_size(isa, sink, tools, rng):
    cpu.configure(isa, 1)
    case = Case(tools, rng, [70], sinks=np.full(4, sink, np.float32)).queries(rng, [0, 0], [0, 69])
    close(case.run().data, case.expected())


@pytest.mark.parametrize("isa", ISAS)
def test_scores_far_apart_do_not_overflow(isa, tools, rng):
    cpu.configure(isa, 1)
    case = Case(tools, rng, [150]).queries(rng, [0], [149])
    case.qkv *= 100
    assert np.isfinite(case.run().data).all()
    np.testing.assert_allclose(case.run().data, case.expected(), rtol=0, atol=64 * 1000 * 2.0**-24)


@pytest.mark.parametrize(
    ("numerics", "kind"), [("q8", "bf16"), ("q8", "int8"), ("bf16", "bf16"), ("f32", "f32")]
)
@pytest.mark.parametrize(("heads", "groups", "d"), [(9, 3, 64), (2, 2, 16), (4, 2, 96), (16, 2, 64)])
def test_attention_has_the_same_bits_everywhere(numerics, kind, heads, groups, d, tools, rng):
    case = Case(tools, rng, [150, 40, 90], heads, groups, d, kind, window=70)
    rows, positions = [0] * 60 + [2] * 10 + [1], [*range(90, 150), *range(80, 90), 39]
    case.queries(rng, rows, positions)

    def outputs():
        out = case.run(numerics)
        return tuple(a for a in (out.data, out.scales) if a is not None)

    tools.under_every_plan(outputs)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_query_does_not_depend_on_the_others(isa, kind, tools, rng):
    cpu.configure(isa, 1)
    case = Case(tools, rng, [200, 130], 9, 3, kind=kind)
    case.queries(rng, [0] * 70 + [1] * 60, [*range(130, 200), *range(70, 130)])
    whole = case.run().data
    for pick in (
        slice(0, 1),
        slice(5, 7),
        slice(3, 67),
        slice(68, 75),
        slice(129, 130),
        slice(None, None, -1),
    ):
        tools.same_bits((case.run(pick=pick).data,), (np.ascontiguousarray(whole[pick]),), str(pick))
