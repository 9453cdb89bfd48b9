"""Logits against transformers' GptOssForCausalLM (float32, eager attention, eager experts).

The tiny checkpoint has real routing (8 experts, top-2), sinks, a window of 16, YaRN factor 32 over an
original context of 128, biases everywhere and clamps that bite; the text is 300 tokens long.

Where the tolerances come from. Every matrix product rounds its inputs with a relative error of standard
deviation r:

    f32   2⁻²⁴/√3 per operation, √K of them in a sum of K  (K = 128, the widest)
    bf16  2⁻⁹/√3                                           (half a unit of an 8-bit significand, uniform)
    q8    2.1/127/√12                                      (32 values' maximum is 2.1 standard deviations)

on both sides (√2), independently in 2L sublayers and the LM head (√(2L + 1)), and softmax, SwiGLU and norms
may amplify what they are given, allowed here by 4. So with S the logits' own standard deviation

    rms error ≤ 4 · r · √2 · √(2L + 1) · S,   max error over T·V logits ≤ 10 times that.

Under q8 and bf16 a token whose routing is nearly undecided goes to another expert, which is no rounding
error. So these are compared with transformers routed as Ossia routed; how many choices differ is counted
and printed.
"""

import math

import numpy as np
import pytest
import torch
from tiny_gptoss import (
    CONFIG,
    as_stored,
    dense_experts,
    original_config,
    original_layout,
    quantised,
    tiny_tensors,
    write_checkpoint,
)
from transformers import GptOssForCausalLM
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts, GptOssTopKRouter

from ossia.model.batch import single_sequence
from ossia.model.checkpoint import open_checkpoint
from ossia.model.kv_cache import BLOCK, KVCache, kv_kind
from ossia.model.reference import reference_forward
from ossia.model.transformer import Transformer
from ossia.model.weights import load_weights

LENGTH = 300
IDS = np.random.default_rng(1).integers(0, CONFIG["vocab_size"], LENGTH).tolist()
ROUNDING = {
    "f32": 2.0**-24 / math.sqrt(3) * math.sqrt(128),
    "bf16": 2.0**-9 / math.sqrt(3),
    "q8": 2.1 / 127 / math.sqrt(12),
}


def allowed_rms(numerics, logits):
    return 4 * ROUNDING[numerics] * math.sqrt(2 * (2 * CONFIG["num_hidden_layers"] + 1)) * logits.std()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    tensors = tiny_tensors()
    at = tmp_path_factory.mktemp("models")
    return {
        "dense": write_checkpoint(at / "dense", as_stored(dense_experts(tensors)), CONFIG),
        "mxfp4": write_checkpoint(at / "mxfp4", as_stored(tensors), quantised(), shards=3),
        "original": write_checkpoint(at / "original", as_stored(original_layout(tensors)), original_config()),
    }


class Oracle:
    """transformers' model; `logits(routing)` sends tokens where `routing` (layers, T, K) says, if given."""

    def __init__(self, folder):
        self.model = GptOssForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
        )
        config = self.model.config
        assert (config._attn_implementation, config._experts_implementation) == ("eager", "eager")
        assert {p.dtype for p in self.model.parameters()} == {torch.float32}
        assert type(self.model.model.layers[0].mlp.experts) is GptOssExperts
        self.chosen = []
        self.routing = None
        for layer, block in enumerate(self.model.model.layers):
            block.mlp.router.register_forward_hook(self._hook(layer))

    def _hook(self, layer):
        def hook(router: GptOssTopKRouter, inputs, output):
            logits, _, ids = output
            self.chosen.append(ids.numpy())
            if self.routing is None:
                return output
            ids = torch.tensor(self.routing[layer], dtype=torch.int64)
            return logits, torch.softmax(logits.gather(1, ids), -1), ids

        return hook

    def logits(self, routing=None):
        self.chosen, self.routing = [], routing
        with torch.no_grad():
            return self.model(torch.tensor([IDS])).logits[0].numpy()


@pytest.fixture(scope="module", params=["dense", "mxfp4"])
def form(request):
    return request.param


@pytest.fixture(scope="module")
def oracle(form, folders):
    return Oracle(folders[form])


def ossia_logits(folder, numerics):
    checkpoint = open_checkpoint(folder)
    c = checkpoint.config
    blocks = -(-LENGTH // BLOCK)
    kv = KVCache(c, kv_kind(numerics), blocks, blocks)
    model = Transformer(c, load_weights(checkpoint, c, numerics), kv, numerics, LENGTH, 1, blocks)
    return model.forward(single_sequence(IDS, all_logits=True)), model.routing(LENGTH)


def compare(capsys, what, numerics, ours, theirs):
    error = np.abs(ours - theirs)
    rms, bound = math.sqrt((error**2).mean()), allowed_rms(numerics, theirs)
    with capsys.disabled():
        print(
            f"\n  {what}: max error {error.max():.2e} (allowed {10 * bound:.2e}), "
            f"rms {rms:.2e} ({bound:.2e}), top-1 equal {np.mean(ours.argmax(1) == theirs.argmax(1)):.1%}"
        )
    assert rms <= bound
    assert error.max() <= 10 * bound
    return error


def test_the_reference_is_transformers(oracle, form, folders, capsys):
    ours = reference_forward(open_checkpoint(folders[form]), IDS)
    compare(capsys, f"reference, {form}", "f32", ours.logits, oracle.logits())
    assert (np.sort(ours.experts, -1) == np.sort(np.stack(oracle.chosen), -1)).all()


def test_f32_logits(oracle, form, folders, capsys):
    ours, routing = ossia_logits(folders[form], "f32")
    theirs = oracle.logits()
    error = compare(capsys, f"f32, {form}", "f32", ours, theirs)
    assert (np.sort(routing, -1) == np.sort(np.stack(oracle.chosen), -1)).all()
    # Past the window and past the original context it is no worse than before them.
    assert error[128:].max() <= 10 * max(error[:16].max(), allowed_rms("f32", theirs))


@pytest.mark.parametrize("numerics", ["bf16", "q8"])
def test_rounded_numerics(oracle, form, folders, numerics, capsys):
    ours, routing = ossia_logits(folders[form], numerics)
    theirs = oracle.logits()
    flipped = (np.sort(routing, -1) != np.sort(np.stack(oracle.chosen), -1)).any(-1)  # (layers, T)
    steady = ~flipped.any(0)
    elsewhere = np.abs(ours - theirs)[steady].max()
    with capsys.disabled():
        print(
            f"\n  {numerics}, {form}: {flipped.sum()} of {flipped.size} routings differ, "
            f"in {(~steady).sum()} of {LENGTH} tokens; elsewhere max error {elsewhere:.2e}"
        )
    assert flipped.mean() < 0.15
    compare(capsys, f"{numerics}, {form}, routed alike", numerics, ours, oracle.logits(routing))


@pytest.mark.parametrize("numerics", ["f32", "bf16", "q8"])
def test_original_layout_is_the_same_model_bit_for_bit(folders, numerics):
    a, b = (ossia_logits(folders[k], numerics)[0] for k in ("mxfp4", "original"))
    assert (a == b).all()
