"""lm_head: its choices against plain numpy, and the screened head against the whole one, bit for bit."""

import math

import numpy as np
import pytest

from ossia.kernels import ops
from ossia.kernels.asked import INFINITE, NONE_ALLOWED, NOT_A_NUMBER, Asked, Screen
from ossia.kernels.head import most_screened, screen
from ossia.kernels.tensors import Matrix, pack_matrix

VOCAB, WIDTH = 3000, 544  # a group that is not whole, blocks that are no multiple of four


@pytest.fixture(scope="module")
def weight():
    rng = np.random.default_rng(8)
    return pack_matrix(0.02 * rng.standard_normal((VOCAB, WIDTH)).astype(np.float32), "q8")


def copied(w):
    return Matrix("q8", w.data.copy(), w.scales.copy())


def split(w, most_rows=8):
    planes, found = screen(copied(w))
    return planes, found and Screen(found.gain, found.doubtful, most_rows)


def asked_of(rng, rows, *, masks=0, edits=0, temperature=None, vocab=VOCAB):
    """Rows that choose, with random noise, masks and changed ids."""
    asked = Asked.empty(rows, max(1, masks), vocab, rows * edits)
    asked.whole[:] = 0
    asked.temperatures[:] = rng.choice([0, 0.3, 1, 5], rows) if temperature is None else temperature
    asked.keys[:] = rng.integers(0, 2**64, rows, np.uint64)
    asked.masks[:] = rng.random(asked.masks.shape) < rng.choice([0.01, 0.5, 0.99], (len(asked.masks), 1))
    asked.mask_of[:] = rng.integers(-1, masks, rows) if masks else -1
    asked.penalties[:] = rng.choice([0.5, 1, 1.7], rows)[:, None] * [1, 0.3, 0.4]
    ids = [np.sort(rng.choice(vocab, edits, replace=False)) for _ in range(rows)]
    asked.edit_ids[:] = np.concatenate([*ids, np.empty(0)])
    asked.edit_bias[:] = rng.choice([0, 0, -3, 4], rows * edits)
    asked.edit_counts[:] = rng.integers(-1, 4, rows * edits)
    asked.edit_ends[:] = edits * np.arange(1, rows + 1)
    return asked


def run(x, w, asked, found=None):
    """(chosen, rescored, logits)"""
    vocab = w.shape[1]
    out = np.zeros(x.rows, np.int32), np.zeros(x.rows, np.int32), np.zeros((x.rows, vocab), np.float32)
    p = ops.Program()
    ops.lm_head(p, x, w, asked, *out, found)
    p.run()
    return out


def linear(x, w):
    out = np.zeros((x.rows, w.shape[1]), np.float32)
    p = ops.Program()
    ops.linear(p, x, w, None, out)
    p.run()
    return out


def noise(key, n):
    out = np.zeros(n, np.float32)
    p = ops.Program()
    ops.gumbel(p, int(key), np.arange(n), out)
    p.run()
    return out


def plainly(logits, asked):
    """The tokens `asked` chooses from logits (T, V), in numpy."""
    chosen, begin = [], 0
    for t, row in enumerate(logits):
        x, (repetition, frequency, presence) = row.copy(), asked.penalties[t]
        ids = asked.edit_ids[begin : asked.edit_ends[t]]
        bias, counts = (a[begin : asked.edit_ends[t]] for a in (asked.edit_bias, asked.edit_counts))
        begin = asked.edit_ends[t]
        at = x[ids] + bias
        seen = (
            np.where(at > 0, at / repetition, at * repetition) - frequency * counts - presence * (counts > 0)
        )
        x[ids] = np.where(counts >= 0, seen, at)
        if asked.temperatures[t] > 0:
            x = x + asked.temperatures[t] * noise(asked.keys[t], x.size)
        if asked.mask_of[t] >= 0:
            x[asked.masks[asked.mask_of[t]] == 0] = -np.inf
        chosen.append(int(x.argmax()) if x.max() > -np.inf else NONE_ALLOWED)
    return chosen


@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
@pytest.mark.parametrize("rows", [1, 3, 9])
def test_it_chooses_what_numpy_chooses(numerics, rows, rng, tools):
    w = tools.matrix(rng, numerics, 1, VOCAB, WIDTH)
    for _ in range(3):
        x = tools.activation(rng.standard_normal((rows, WIDTH)), numerics)
        asked = asked_of(rng, rows, masks=2, edits=40)
        chosen, rescored, _ = run(x, w, asked)
        assert chosen.tolist() == plainly(linear(x, w), asked)
        assert (rescored == -1).all()


@pytest.mark.parametrize("rows", [1, 2, 4, 7, 33])
def test_logits_of_either_layout_are_the_products_bit_for_bit(rows, weight, rng, tools):
    planes, found = split(weight)
    x = tools.activation(rng.standard_normal((rows, WIDTH)), "q8")
    expected = linear(x, weight)
    for w in (weight, planes):
        tools.same_bits((run(x, w, Asked.empty(rows, 1, VOCAB, 0), found)[2],), (expected,))


@pytest.mark.parametrize("edits", [0, 200])
@pytest.mark.parametrize("masks", [0, 3])
def test_the_screened_head_chooses_the_same(masks, edits, weight, rng, tools):
    planes, found = split(weight)
    screened = 0
    for i in range(40):
        rows = 1 + i % 8
        x = tools.activation(rng.standard_normal((rows, WIDTH)) * 10 ** rng.uniform(-2, 2), "q8")
        asked = asked_of(rng, rows, masks=masks, edits=edits)
        chosen, rescored, _ = run(x, planes, asked, found)
        assert chosen.tolist() == run(x, weight, asked)[0].tolist()
        screened += (rescored >= 0).sum()
    assert screened > 100


def test_the_screened_head_gives_the_same_bits_under_every_plan(weight, rng, tools):
    planes, found = split(weight)
    x = tools.activation(rng.standard_normal((6, WIDTH)), "q8")
    asked = asked_of(rng, 6, masks=2, edits=30)
    tools.under_every_plan(lambda: run(x, planes, asked, found)[:2])
    assert (run(x, planes, asked, found)[1] > 0).all()


def test_few_exact_logits_decide(weight, rng, tools):
    planes, found = split(weight)
    x = tools.activation(rng.standard_normal((8, WIDTH)), "q8")
    _, rescored, _ = run(x, planes, asked_of(rng, 8, temperature=0), found)
    assert (rescored >= 1).all()
    assert rescored.mean() < VOCAB / 10


def errors(weight, rng, tools, rows):
    """Approximate logits' errors in standard deviations, from the margins that let a row through."""
    planes, found = split(weight)
    x = tools.activation(rng.standard_normal((rows, WIDTH)), "q8")
    q = planes.data[0].view(np.uint8)
    assert q.size == VOCAB * WIDTH
    codes = weight.data[0].astype(np.float64)
    low = ((weight.data[0].view(np.uint8) ^ 128) & 15) - 7.5
    scale = np.repeat(weight.scales[0].astype(np.float64), 32, axis=1)
    a = x.to_float().astype(np.float64)
    error = a @ (scale * (codes - found.gain * (codes - low))).T
    return error / np.sqrt(23 * (a * a) @ (scale * scale).T)


def test_errors_are_as_normal_as_the_margin_supposes(weight, rng, tools):
    # 192,000 of them: beyond k standard deviations no more than the normal distribution has.
    z = np.abs(errors(weight, rng, tools, 64))
    assert 0.9 < z.std() / math.sqrt(1 - 2 / math.pi) < 1.02
    for k in (1, 2, 3, 4):
        expected = z.size * math.erfc(k / math.sqrt(2))
        assert (z > k).sum() < expected + 4 * math.sqrt(expected) + 1


def test_narrower_margins_let_the_right_token_slip_and_six_do_not(weight, rng, tools):
    planes, found = split(weight)
    slips = {}
    for sigmas in (0.05, 6.0):
        slips[sigmas] = 0
        narrow = Screen(found.gain, found.doubtful, 8, sigmas)
        for _ in range(50):
            x = tools.activation(rng.standard_normal((8, WIDTH)), "q8")
            asked = asked_of(rng, 8, temperature=0)
            slips[sigmas] += int((run(x, planes, asked, narrow)[0] != run(x, weight, asked)[0]).sum())
    assert slips[0.05] > 5
    assert slips[6.0] == 0


def rows_with(weight, change):
    w = copied(weight)
    change(w.data[0], w.scales[0])
    return w


ADVERSARIES = {
    "low nibbles all 15": lambda q, s: np.copyto(q, (q & -16) | 15),
    "low nibbles tied to the sign": lambda q, s: np.copyto(q, np.sign(q) * 3),
    "one weight of 32 stands out": lambda q, s: np.copyto(q, np.where(np.arange(WIDTH) % 32, q // 40, q)),
    "rows of zeros": lambda q, s: (q[::3].fill(0), s[::3].fill(0)),
    "rows all alike": lambda q, s: (np.copyto(q, q[:1]), np.copyto(s, s[:1])),
    "pairs alike": lambda q, s: (np.copyto(q[1::2], q[::2]), np.copyto(s[1::2], s[::2])),
    "scales far apart": lambda q, s: s.__imul__(np.logspace(-12, 2, s.size).reshape(s.shape)),
    "a few rows tied to the sign": lambda q, s: np.copyto(q[::100], np.sign(q[::100]) * 3),
    "tiny scales": lambda q, s: s.__imul__(1e-25),
    "codes of -128": lambda q, s: q[::7].fill(-128),
}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_hostile_heads_are_not_chosen_from_wrongly(name, weight, rng, tools):
    w = rows_with(weight, ADVERSARIES[name])
    planes, found = split(w)
    for _ in range(10):
        # Towards a row, so that what the low nibbles add is all on one side.
        row = w.data[0, rng.integers(VOCAB)] * np.repeat(w.scales[0, 5], 32)
        x = np.sign(row) + rng.standard_normal((2, WIDTH))
        act, asked = tools.activation(x, "q8"), asked_of(rng, 2, edits=20)
        tools.same_bits((run(act, planes, asked, found)[0],), (run(act, w, asked)[0],), name)


def test_rows_that_are_not_random_are_doubtful(weight):
    w = rows_with(weight, ADVERSARIES["a few rows tied to the sign"])
    assert split(w)[1].doubtful.tolist()[: VOCAB // 100] == list(range(0, VOCAB, 100))
    assert split(rows_with(weight, ADVERSARIES["low nibbles all 15"]))[1] is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [(np.nan, NOT_A_NUMBER), (np.inf, NOT_A_NUMBER)],
)
def test_what_is_no_number_is_told_so(change, expected, weight, rng, tools):
    planes, found = split(weight)
    x = rng.standard_normal((2, WIDTH)).astype(np.float32)
    x[1, 77] = change
    chosen, rescored, _ = run(tools.activation(x, "q8"), planes, asked_of(rng, 2), found)
    assert chosen[0] >= 0
    assert chosen[1] == expected
    assert (rescored == -1).all()


def test_an_infinite_logit_is_told_so(rng, tools):
    w = pack_matrix(np.full((300, WIDTH), 3e38, np.float32), "f32")
    chosen, _, _ = run(tools.activation(np.full((1, WIDTH), 9), "f32"), w, asked_of(rng, 1, vocab=300))
    assert chosen.tolist() == [INFINITE]


def test_ties_go_to_the_lower_id_and_nothing_to_choose_from_is_told(weight, rng, tools):
    planes, found = split(weight)
    asked = asked_of(rng, 2, masks=1, temperature=0)
    asked.masks[:] = 0
    asked.mask_of[:] = [0, -1]
    x = tools.activation(np.zeros((2, WIDTH)), "q8")
    for w, how in ((weight, None), (planes, found)):
        chosen, rescored, _ = run(x, w, asked, how)
        assert chosen.tolist() == [NONE_ALLOWED, 0]
        assert (rescored == -1).all()  # every row may be the one: the whole product decides


def test_more_rows_than_pay_and_rows_that_want_logits_take_the_whole_product(weight, rng, tools):
    planes, found = split(weight, most_rows=2)
    x = tools.activation(rng.standard_normal((3, WIDTH)), "q8")
    assert (run(x, planes, asked_of(rng, 3), found)[1] == -1).all()
    asked = asked_of(rng, 2)
    asked.whole[1] = 1
    chosen, rescored, logits = run(x.head(2), planes, asked, found)
    assert (rescored == -1).all()
    assert chosen[0] == run(x.head(2), weight, asked)[0][0]
    assert logits[1].any()
    assert not logits[0].any()


def test_small_heads_are_not_worth_it():
    assert most_screened(201_088, 2880) > most_screened(49_152, 576) > 0
    assert most_screened(8191, 2880) == 0
    assert most_screened(49_152, 480) == 0


@pytest.mark.parametrize("wrong", ["mask_of", "edit_ids", "edit_ends"])
def test_indices_out_of_range_are_our_own_fault(wrong, weight, rng, tools):
    asked = asked_of(rng, 1, masks=1, edits=2)
    getattr(asked, wrong)[0] = VOCAB
    with pytest.raises(AssertionError, match="lm_head"):
        run(tools.activation(rng.standard_normal((1, WIDTH)), "q8"), weight, asked)


def test_the_noise_is_the_logarithm_of_an_exponential(rng):
    ids = rng.integers(0, 2**31, 100_000)
    out = np.zeros(ids.size, np.float32)
    p = ops.Program()
    ops.gumbel(p, 99, ids, out)
    p.run()
    h = np.uint64(99) + (ids.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    h ^= h >> np.uint64(31)
    expected = -np.log(-np.log1p(-(h.astype(np.float64) + 0.5) * 2.0**-64))
    # A relative error of 1e-6 in the exponential shifts its logarithm by as much. Large exponentials, whose
    # tokens are not drawn, are those of an r close to 1, where float32 is coarse.
    error, often = np.abs(out - expected), expected > -math.log(4)
    assert error[often].max() < 2e-6
    assert error.max() < 0.1
