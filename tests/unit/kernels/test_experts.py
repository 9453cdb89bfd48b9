"""Experts that stream: the bits of experts in memory, whoever has to give way, and clear errors."""

import errno

import numpy as np
import pytest

from ossia.kernels import cpu, experts, ops

LAYERS, EXPERTS, WIDTH, INNER = 3, 6, 96, 64
PARTS = (2 * INNER * WIDTH // 2, 2 * INNER * WIDTH // 32, WIDTH * INNER // 2, WIDTH * INNER // 32)


class Model:
    """A few layers of experts, in memory and in a file that begins at an odd byte."""

    def __init__(self, tools, rng, path):
        self.tools, self.path = tools, path
        self.layers, self.places = [], []
        with path.open("wb") as file:
            file.write(b"odd")
            for _ in range(LAYERS):
                gate_up = tools.matrix(rng, "mxfp4", EXPERTS, 2 * INNER, WIDTH)
                down = tools.matrix(rng, "mxfp4", EXPERTS, WIDTH, INNER)
                parts = (gate_up.data, gate_up.scales, down.data, down.scales)
                self.places.append([(0, file.tell() + sum(p.nbytes for p in parts[:i])) for i in range(4)])
                for part in parts:
                    file.write(part.tobytes())
                self.layers.append((gate_up, down))
        self.biases = rng.standard_normal((EXPERTS, 2 * INNER + WIDTH)).astype(np.float32)

    def cache(self, slots):
        return experts.make_cache([self.path], self.places, experts=EXPERTS, slots=slots, part_bytes=PARTS)

    def run(self, x, ids, layer, cache=None):
        gate_up, down = self.layers[layer]
        gate_up_bias, down_bias = (
            np.ascontiguousarray(b) for b in np.split(self.biases, [2 * INNER], axis=1)
        )
        out = np.zeros((len(x), WIDTH), np.float32)
        weights = np.linspace(0.1, 1, ids.size, dtype=np.float32).reshape(ids.shape)
        p = ops.Program()
        ops.moe(
            p, self.tools.activation(x, "q8"), ids, weights, gate_up, gate_up_bias, down, down_bias,
            7.0, 1.702, out, cache, layer,
        )  # fmt: skip
        p.run()
        return out


@pytest.fixture
def model(tools, rng, tmp_path):
    return Model(tools, rng, tmp_path / "experts")


def some_ids(rng, tokens, top_k=2):
    return np.argsort(rng.random((tokens, EXPERTS)), axis=1)[:, :top_k].astype(np.int32)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("slots", [EXPERTS, EXPERTS + 3, 2 * EXPERTS, LAYERS * EXPERTS])
def test_streamed_experts_give_the_bits_of_experts_in_memory(slots, threads, direct, model, rng, monkeypatch):
    if not direct:
        monkeypatch.setattr(experts, "_open_direct", lambda path: -1)
    cpu.configure(cpu.current().isa, threads)
    cache = model.cache(slots)
    for tokens in (1, 1, 40, 1, 3, 40, 2):
        for layer in range(LAYERS):
            x, ids = rng.standard_normal((tokens, WIDTH)), some_ids(rng, tokens)
            np.testing.assert_array_equal(model.run(x, ids, layer, cache), model.run(x, ids, layer))


def test_counts_say_what_was_asked_and_what_was_read(model, rng):
    cache, x = model.cache(LAYERS * EXPERTS), rng.standard_normal((1, WIDTH))
    for ids in ([[0, 1]], [[1, 2]]):
        model.run(x, np.array(ids, np.int32), 0, cache)
    counts = experts.counts(cache)
    assert (counts.asked, counts.read, counts.read_bytes) == (4, 3, 3 * sum(PARTS))
    assert counts.hit_rate == 0.25


def test_nothing_is_read_twice_where_everything_has_a_slot(model, rng):
    cache = model.cache(LAYERS * EXPERTS)
    for tokens in (40, 1, 40, 5):
        for layer in range(LAYERS):
            model.run(rng.standard_normal((tokens, WIDTH)), some_ids(rng, tokens), layer, cache)
    assert experts.counts(cache).read <= LAYERS * EXPERTS


def test_the_experts_that_many_tokens_ask_for_stay(model, rng):
    cache, x = model.cache(EXPERTS), rng.standard_normal((1, WIDTH))
    for i in range(60):  # expert 0 of layer 0 in every step, beside others in turn
        model.run(x, np.array([[0, 1 + i % 5]], np.int32), 0, cache)
        model.run(x, np.array([[i % 6, (i + 1) % 6]], np.int32), 1, cache)
    before = experts.counts(cache).read
    model.run(x, np.array([[0]], np.int32), 0, cache)
    assert experts.counts(cache).read == before


def test_a_sweep_through_all_layers_keeps_what_memory_holds(model, rng):
    """Least recently used would find nothing in a second pass; here all but what must give way is found."""
    slots = 2 * EXPERTS + 2
    cache, ids = model.cache(slots), np.tile(np.arange(EXPERTS, dtype=np.int32), 8)[:, None]
    x = rng.standard_normal((len(ids), WIDTH))
    for _ in range(4):
        for layer in range(LAYERS):
            model.run(x, ids, layer, cache)
    before = experts.counts(cache)
    for layer in range(LAYERS):
        model.run(x, ids, layer, cache)
    after = experts.counts(cache)
    assert after.asked - before.asked == LAYERS * EXPERTS
    assert after.read - before.read <= LAYERS * EXPERTS // 2


def test_a_file_that_became_shorter_is_an_error_of_reading(model, rng):
    cache, x = model.cache(EXPERTS), rng.standard_normal((1, WIDTH))
    model.path.write_bytes(model.path.read_bytes()[: model.places[1][2][1]])
    ids = np.array([[3, 4]], np.int32)
    np.testing.assert_array_equal(model.run(x, ids, 0, cache), model.run(x, ids, 0))
    with pytest.raises(OSError, match="an expert cannot be read"):
        model.run(x, ids, 1, cache)
    layer, part, error = cache.take_failure()
    assert (layer, error) == (1, experts.ENDED)
    assert part in (2, 3)
    np.testing.assert_array_equal(model.run(x, ids, 0, cache), model.run(x, ids, 0))


def test_what_could_not_be_read_is_read_again_when_it_is_asked_for(model, rng):
    whole, x = model.path.read_bytes(), rng.standard_normal((1, WIDTH))
    cache, ids = model.cache(EXPERTS), np.array([[3, 4]], np.int32)
    model.path.write_bytes(b"")
    with pytest.raises(OSError, match="cannot be read"):
        model.run(x, ids, 0, cache)
    assert cache.take_failure() is not None
    model.path.write_bytes(whole)
    np.testing.assert_array_equal(model.run(x, ids, 0, cache), model.run(x, ids, 0))


def test_the_systems_error_is_told(model, rng, tmp_path, monkeypatch):
    monkeypatch.setattr(experts, "_open_direct", lambda path: -1)
    model.path = tmp_path  # a folder can be opened, not read
    cache = model.cache(EXPERTS)
    with pytest.raises(OSError, match="cannot be read") as caught:
        model.run(rng.standard_normal((1, WIDTH)), np.array([[0]], np.int32), 0, cache)
    assert caught.value.errno == errno.EISDIR


def test_a_cache_of_another_shape_is_refused(model, rng):
    other = experts.ExpertCache(LAYERS, EXPERTS, EXPERTS, (1, 2, 3, 4), 1)
    with pytest.raises(AssertionError, match="size"):
        model.run(rng.standard_normal((1, WIDTH)), np.array([[0]], np.int32), 0, other)
    with pytest.raises(AssertionError, match="slots"):
        model.cache(EXPERTS - 1)
