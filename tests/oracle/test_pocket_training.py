"""Training: the network is the base, its rounding is the checkpoint's, and an interrupted run goes on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_base import VOCAB, write_base
from transformers import GptOssForCausalLM

from ossia.hub.pocket.adapter import parse_adapter
from ossia.hub.pocket.convert import convert_pocket
from ossia.hub.pocket.gguf import read_gguf
from ossia.hub.pocket.layout import Base
from ossia.hub.pocket.mxfp4 import from_mxfp4, to_mxfp4
from ossia.hub.pocket.safetensors_file import encode_tensors
from ossia.posttrain import network
from ossia.posttrain.calibrate import find_channels
from ossia.posttrain.distill import Job, Speaker
from ossia.posttrain.examples import Encoded
from ossia.posttrain.export import read_run
from ossia.posttrain.network import LORA_SCALE, Network, Projection, fake_mxfp4
from ossia.posttrain.samples import TOP, load_samples, save_shard
from ossia.posttrain.train import Plan, Run


@pytest.fixture(autouse=True)
def _without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the fused functions as they are: what they compute is meant here, not how fast."""
    monkeypatch.setattr(network, "_compiled", lambda function: function)
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "tiny.gguf")


def _disturbed(base_path: Path) -> Network:
    """A network whose adapter is not nothing any more."""
    found = Network(Base(read_gguf(base_path)))
    with torch.no_grad():
        for _, projection in found.projections():
            projection.lora_b.normal_(0, 0.02)
            projection.bias.normal_(0, 0.05)
    return found


def _batch(seed: int) -> list[Encoded]:
    rng = np.random.default_rng(seed)
    found: list[Encoded] = []
    for length in (9, 14, 20):
        ids = rng.integers(20, VOCAB, length).astype(np.int32)
        top_ids = np.zeros((length - 1, TOP), np.int32)
        probs = np.zeros((length - 1, TOP), np.float32)
        top_ids[:, 0], probs[:, 0] = ids[1:], 1
        weights = (rng.random(length - 1) < 0.7).astype(np.float32)
        found.append(Encoded(ids[:-1], weights, top_ids, probs))
    return found


def test_fake_rounding_equals_the_checkpoints(base_path: Path) -> None:
    weights = Base(read_gguf(base_path)).projection(0, "gate")
    expected = from_mxfp4(*to_mxfp4(weights))
    assert np.array_equal(fake_mxfp4(torch.from_numpy(weights.copy())).numpy(), expected)


def test_the_low_rank_gradient_is_autograds() -> None:
    projection = Projection(torch.randn(32, 64) / 8, quantised=False)
    projection.weight = projection.exact  # float32, so that only the formula is compared
    with torch.no_grad():
        projection.lora_b.normal_()
        projection.weight = projection.exact + LORA_SCALE * projection.lora_b @ projection.lora_a
    x = torch.randn(5, 64, requires_grad=True)
    seed = torch.randn(5, 32)
    names = ("lora_a", "lora_b", "bias")
    projection(x).backward(seed)
    ours = [x.grad.clone(), *(getattr(projection, name).grad.clone() for name in names)]
    x.grad = None
    projection.zero_grad()
    merged = projection.exact + LORA_SCALE * projection.lora_b @ projection.lora_a
    torch.nn.functional.linear(x, merged, projection.bias).backward(seed)
    for mine, theirs in zip(ours, [x.grad, *(getattr(projection, name).grad for name in names)], strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_run_exported_and_converted_computes_what_was_trained(base_path: Path, tmp_path: Path) -> None:
    disturbed = _disturbed(base_path)
    base = Base(read_gguf(base_path))
    channels = find_channels(base, [np.arange(20, 60, dtype=np.int32)])
    np.savez(tmp_path / "channels.npz", order=channels.order, scale=channels.scale)
    trained = Network(Base(read_gguf(base_path), channels))
    trained.load_state_dict(disturbed.state_dict())
    torch.save({"network": trained.state_dict()}, tmp_path / "state.pt")
    adapter = parse_adapter(encode_tensors(read_run(tmp_path)))
    convert_pocket(base_path, tmp_path / "pocket", adapter=adapter)
    model = GptOssForCausalLM.from_pretrained(
        tmp_path / "pocket", dtype=torch.float32, attn_implementation="eager"
    )
    trained.refresh(quantise=True)
    ids = torch.randint(20, VOCAB, (1, 50), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        ours = trained.logits(trained.hidden(ids)[0]).float()
        theirs = model(ids).logits[0].float()
    # bfloat16 here, float32 there; factors stored in bfloat16 push some weights to the next MXFP4 value.
    alike = torch.nn.functional.cosine_similarity(ours, theirs, dim=-1)
    assert alike.mean() > 0.99
    assert alike.min() > 0.9


def test_sampling_with_a_cache_and_left_padding_equals_the_whole_pass(base_path: Path) -> None:
    disturbed = _disturbed(base_path)
    disturbed.refresh(quantise=False)
    long = torch.randint(20, VOCAB, (12,), generator=torch.Generator().manual_seed(4))
    short = long[:7]
    padded = torch.stack((long, torch.cat((torch.zeros(5, dtype=torch.long), short))))
    with torch.inference_mode():
        caches = disturbed.caches(2, 20)
        padding = torch.tensor([0, 5])
        disturbed.extend(padded, caches, padding)
        step = disturbed.extend(torch.tensor([[30], [31]]), caches, padding).float()
        for row, ids in enumerate(
            (torch.cat((long, torch.tensor([30]))), torch.cat((short, torch.tensor([31]))))
        ):
            whole = disturbed.logits(disturbed.hidden(ids[None])[0, -1:]).float()[0]
            assert torch.nn.functional.cosine_similarity(step[row], whole, dim=0) > 0.999


def test_what_the_base_said_is_kept_with_its_likeliest_tokens(base_path: Path, tmp_path: Path) -> None:
    speaker = Speaker(Network(Base(read_gguf(base_path)), swiglu_limit=None), stop_ids=(25,))
    jobs = [Job("chat", "a", (20, 21, 22), 8, 0.5), Job("chat", "b", (23,), 8, 0.5)]
    samples = speaker.sample(jobs, torch.Generator().manual_seed(1))
    save_shard(tmp_path / "shard-0000.npz", samples)
    (tmp_path / "shard-0001.partial.npz").write_bytes(b"half")
    kept = list(load_samples(tmp_path))
    assert [sample.prompt for sample in kept] == ["a", "b"]
    for sample in kept:
        assert 1 <= len(sample.ids) <= 8
        assert 25 not in sample.ids[:-1]
        assert all(token in row for token, row in zip(sample.ids, sample.top_ids, strict=True))
        assert (np.diff(sample.top_logprobs.astype(np.float32), axis=1) <= 0).all()


def test_training_learns_and_an_interrupted_run_goes_on(base_path: Path, tmp_path: Path) -> None:
    plan = Plan(minutes=1000.0, warmup=1e-9, quantise_from=0.0)

    def run() -> Run:
        torch.manual_seed(0)
        return Run(Network(Base(read_gguf(base_path))), plan, tmp_path)

    first = run()
    losses = [first.one_step(_batch(0))[0] for _ in range(12)]
    assert losses[-1] < losses[0] - 0.2
    first.save()
    after: dict[str, Any] = {"first": first.one_step(_batch(1))[0]}
    again = run()
    assert (again.step, again.seconds) == (12, first.seconds)
    after["again"] = again.one_step(_batch(1))[0]
    assert after["again"] == pytest.approx(after["first"], rel=1e-3)
    first.optimiser.zero_grad()
    for (name, mine), (_, theirs) in zip(
        first.network.named_parameters(), again.network.named_parameters(), strict=True
    ):
        assert torch.allclose(mine, theirs, atol=1e-3), name
