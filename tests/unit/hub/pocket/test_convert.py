"""Conversion: the same function as the base, gpt-oss's names and shapes, whole or not at all."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ossia.errors import CheckpointError, DiskSpaceError
from ossia.hub import cache
from ossia.hub.pocket import convert
from ossia.hub.pocket.adapter import Adapter
from ossia.hub.pocket.convert import build_tensors, config_of, convert_pocket
from ossia.hub.pocket.gguf import GgufFile, read_gguf
from ossia.hub.pocket.layout import Base, Channels
from ossia.hub.pocket.mxfp4 import from_mxfp4
from ossia.hub.pocket.safetensors_file import read_tensors
from ossia.hub.progress import silent
from ossia.model.config import config_from_dict

Array = NDArray[np.float64]
LORA_RANK = 4


def _norm(x: Array, weight: NDArray[np.float32], eps: float) -> Array:
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * weight


def llama_logits(source: GgufFile, ids: NDArray[np.int32]) -> Array:
    """The base as GGUF defines it (interleaved rotary pairs), float64: (T, V)."""
    base = Base(source)
    x = source.tensor("token_embd.weight")[ids].astype(np.float64)
    positions = np.arange(len(ids))[:, None]
    angle = positions * base.rope_theta ** (-np.arange(0, base.head_dim, 2) / base.head_dim)
    mask = np.where(positions >= positions.T, 0.0, -np.inf)

    def heads(layer: int, name: str, h: Array, count: int) -> Array:
        y = h @ source.tensor(f"blk.{layer}.attn_{name}.weight").T
        return y.reshape(len(ids), count, base.head_dim).transpose(1, 0, 2)

    def rotate(y: Array) -> Array:
        even, odd = y[..., 0::2], y[..., 1::2]
        out = np.empty_like(y)
        out[..., 0::2] = even * np.cos(angle) - odd * np.sin(angle)
        out[..., 1::2] = odd * np.cos(angle) + even * np.sin(angle)
        return out

    group = base.num_heads // base.num_kv_heads
    for layer in range(base.num_layers):
        h = _norm(x, base.norm(layer, "attention"), base.eps)
        q = rotate(heads(layer, "q", h, base.num_heads))
        k = rotate(heads(layer, "k", h, base.num_kv_heads)).repeat(group, axis=0)
        v = heads(layer, "v", h, base.num_kv_heads).repeat(group, axis=0)
        scores = np.exp(q @ k.transpose(0, 2, 1) / base.head_dim**0.5 + mask)
        attended = scores / scores.sum(axis=-1, keepdims=True) @ v
        merged = attended.transpose(1, 0, 2).reshape(len(ids), -1)
        x = x + merged @ source.tensor(f"blk.{layer}.attn_output.weight").T
        h = _norm(x, base.norm(layer, "mlp"), base.eps)
        gate = h @ source.tensor(f"blk.{layer}.ffn_gate.weight").T
        up = h @ source.tensor(f"blk.{layer}.ffn_up.weight").T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ source.tensor(f"blk.{layer}.ffn_down.weight").T
    return _norm(x, base.final_norm(), base.eps) @ source.tensor("token_embd.weight").T


def gpt_oss_logits(
    tensors: dict[str, NDArray[np.float32]], source: GgufFile, ids: NDArray[np.int32]
) -> Array:
    """gpt-oss's formulas on exact converted tensors, every expert by itself: (T, V), float64."""
    base, config = Base(source), config_of(source)
    x = tensors["model.embed_tokens.weight"][ids].astype(np.float64)
    positions = np.arange(len(ids))[:, None]
    angle = positions * config["rope_theta"] ** (-np.arange(0, base.head_dim, 2) / base.head_dim)
    mask = np.where(positions >= positions.T, 0.0, -np.inf)

    def rotate(y: Array) -> Array:
        first, second = np.split(y, 2, axis=-1)
        cos, sin = np.cos(angle), np.sin(angle)
        return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)

    group = base.num_heads // base.num_kv_heads
    for layer in range(base.num_layers):
        name = f"model.layers.{layer}"

        def linear(h: Array, part: str, name: str = name) -> Array:
            return h @ tensors[f"{name}.{part}.weight"].T + tensors[f"{name}.{part}.bias"]

        def heads(h: Array, part: str, count: int) -> Array:
            return linear(h, part).reshape(len(ids), count, base.head_dim).transpose(1, 0, 2)

        h = _norm(x, tensors[f"{name}.input_layernorm.weight"], base.eps)
        q = rotate(heads(h, "self_attn.q_proj", base.num_heads))
        k = rotate(heads(h, "self_attn.k_proj", base.num_kv_heads)).repeat(group, axis=0)
        v = heads(h, "self_attn.v_proj", base.num_kv_heads).repeat(group, axis=0)
        scores = np.exp(q @ k.transpose(0, 2, 1) / base.head_dim**0.5 + mask)
        sinks = np.exp(tensors[f"{name}.self_attn.sinks"].astype(np.float64))[:, None, None]
        attended = scores / (scores.sum(axis=-1, keepdims=True) + sinks) @ v
        x = x + linear(attended.transpose(1, 0, 2).reshape(len(ids), -1), "self_attn.o_proj")
        h = _norm(x, tensors[f"{name}.post_attention_layernorm.weight"], base.eps)
        weights = np.exp(linear(h, "mlp.router"))
        weights /= weights.sum(axis=-1, keepdims=True)
        experts = f"{name}.mlp.experts"
        for expert in range(config["num_local_experts"]):
            both = (
                h @ tensors[f"{experts}.gate_up_proj"][expert]
                + tensors[f"{experts}.gate_up_proj_bias"][expert]
            )
            gate, up = np.minimum(both[:, 0::2], 7.0), np.clip(both[:, 1::2], -7.0, 7.0)
            inner = gate / (1 + np.exp(-1.702 * gate)) * (up + 1)
            out = (
                inner @ tensors[f"{experts}.down_proj"][expert] + tensors[f"{experts}.down_proj_bias"][expert]
            )
            x = x + weights[:, expert : expert + 1] * out
    return _norm(x, tensors["model.norm.weight"], base.eps) @ tensors["lm_head.weight"].T


def _exact(source: GgufFile, adapter: Adapter | None = None) -> dict[str, NDArray[np.float32]]:
    return {name: t.data for name, t in build_tensors(source, adapter, silent, exact=True).items()}


def make_adapter(base: Base, *, change: float) -> Adapter:
    """An adapter that reorders and rescales channels, and changes every weight by about `change`."""
    rng = np.random.default_rng(5)
    inner, hidden = base.intermediate_size, base.hidden_size
    order = np.stack([rng.permutation(inner) for _ in range(base.num_layers)]).astype(np.int16)
    scale = rng.uniform(0.25, 1, order.shape).astype(np.float32)
    tensors: dict[str, NDArray[np.float32]] = {"channels.order": order, "channels.scale": scale}
    table = base.embedding()[list(base.marker_ids)]
    tensors |= {"marker_embedding": table, "marker_head": table.copy(), "final_norm": base.final_norm()}
    for layer in range(base.num_layers):
        tensors[f"layers.{layer}.attention_norm"] = base.norm(layer, "attention")
        tensors[f"layers.{layer}.mlp_norm"] = base.norm(layer, "mlp")
        for name in ("q", "k", "v", "o", "gate", "up", "down"):
            rows, columns = base.projection(layer, name).shape
            prefix = f"layers.{layer}.{name}"
            tensors[f"{prefix}.lora_a"] = rng.normal(size=(LORA_RANK, columns)).astype(np.float32)
            tensors[f"{prefix}.lora_b"] = (change * rng.normal(size=(rows, LORA_RANK))).astype(np.float32)
            tensors[f"{prefix}.bias"] = (change * rng.normal(size=rows)).astype(np.float32)
    assert hidden == table.shape[1]
    return Adapter(tensors)


IDS = np.random.default_rng(4).integers(17, 270, 40).astype(np.int32)


def test_the_conversion_computes_the_same_logits_as_the_base(tiny_base: Path) -> None:
    source = read_gguf(tiny_base)
    expected = llama_logits(source, IDS)
    assert (
        np.abs(gpt_oss_logits(_exact(source), source, IDS) - expected).max() < 1e-4 * np.abs(expected).max()
    )


def test_order_and_scale_of_the_channels_change_nothing(tiny_base: Path) -> None:
    source = read_gguf(tiny_base)
    expected = llama_logits(source, IDS)
    tensors = _exact(source, make_adapter(Base(source), change=0.0))
    assert np.abs(gpt_oss_logits(tensors, source, IDS) - expected).max() < 1e-4 * np.abs(expected).max()
    assert not np.array_equal(
        tensors["model.layers.0.mlp.experts.down_proj"],
        _exact(source)["model.layers.0.mlp.experts.down_proj"],
    )


def test_the_adapter_is_added_in_converted_form(tiny_base: Path) -> None:
    source = read_gguf(tiny_base)
    base = Base(source)
    adapter = make_adapter(base, change=0.1)
    tensors = _exact(source, adapter)
    converted = Base(source, adapter.channels)
    wanted = converted.projection(1, "q") + adapter.added(1, "q")
    assert np.array_equal(tensors["model.layers.1.self_attn.q_proj.weight"], wanted)
    both = tensors["model.layers.1.mlp.experts.gate_up_proj"].transpose(0, 2, 1).reshape(-1, base.hidden_size)
    assert np.array_equal(both[0::2], converted.projection(1, "gate") + adapter.added(1, "gate"))
    assert np.array_equal(both[1::2], converted.projection(1, "up") + adapter.added(1, "up"))
    bias = tensors["model.layers.1.mlp.experts.gate_up_proj_bias"].reshape(-1)
    assert np.array_equal(bias[1::2], adapter.get("layers.1.up.bias") - 1)
    # Eight equal weights of one eighth give the bias once.
    down = tensors["model.layers.1.mlp.experts.down_proj_bias"]
    assert np.allclose(down.mean(axis=0), adapter.get("layers.1.down.bias"))


def test_the_folder_is_a_gpt_oss_checkpoint(tiny_base: Path, tmp_path: Path) -> None:
    convert_pocket(
        tiny_base, tmp_path / "pocket", adapter=make_adapter(Base(read_gguf(tiny_base)), change=0.01)
    )
    folder = tmp_path / "pocket"
    assert {path.name for path in folder.iterdir()} == {
        "NOTICE", "config.json", "generation_config.json",
        "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    config = config_from_dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    assert (config.quantization, config.num_local_experts, config.num_experts_per_tok) == ("mxfp4", 8, 8)
    assert config.intermediate_size * 8 == 256
    stored = read_tensors((folder / "model.safetensors").read_bytes())
    blocks = stored["model.layers.0.mlp.experts.gate_up_proj_blocks"]
    assert blocks.shape == (8, 64, 2, 16)
    assert (stored["model.layers.0.self_attn.sinks"] == -100).all()
    assert not stored["model.layers.0.mlp.router.weight"].any()
    scales = stored["model.layers.0.mlp.experts.gate_up_proj_scales"]
    exact = build_tensors(
        read_gguf(tiny_base), make_adapter(Base(read_gguf(tiny_base)), change=0.01), silent, exact=True
    )
    weights = exact["model.layers.0.mlp.experts.gate_up_proj"].data.transpose(0, 2, 1)
    assert np.abs(from_mxfp4(blocks, scales) - weights).max() < np.abs(weights).max() / 4


def test_a_base_the_packaged_adapter_was_not_trained_on_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="width 576") as caught:
        convert_pocket(tiny_base, tmp_path / "pocket")
    assert caught.value.limit == 576
    assert list(tmp_path.glob("pocket*")) == []


@pytest.fixture
def no_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packaged adapter fits the real base only."""
    monkeypatch.setattr(convert, "packaged_adapter", lambda: None)


@pytest.mark.usefixtures("no_adapter")
def test_converting_twice_gives_the_same_bytes(tiny_base: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        convert_pocket(tiny_base, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


@pytest.mark.usefixtures("no_adapter")
def test_progress_ends_with_all_of_it(tiny_base: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    convert_pocket(tiny_base, tmp_path / "p", progress=lambda what, done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 0


def test_a_truncated_base_leaves_nothing(tiny_base: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_base.read_bytes()[:-1000])
    with pytest.raises(CheckpointError):
        convert_pocket(cut, tmp_path / "out" / "pocket")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_adapter")
def test_a_disk_that_is_too_small_is_refused_before_writing(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "free_bytes", lambda path: 1000)
    with pytest.raises(DiskSpaceError):
        convert_pocket(tiny_base, tmp_path / "out" / "pocket")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_adapter")
def test_a_disk_that_fills_up_leaves_nothing(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, tensors: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(convert, "write_tensors", full)
    with pytest.raises(DiskSpaceError):
        convert_pocket(tiny_base, tmp_path / "pocket")
    assert list(tmp_path.iterdir()) == []


def test_a_base_that_cannot_be_cut_into_eight_experts_is_refused(
    make_base: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="eight MXFP4 experts"):
        convert_pocket(make_base(inner=96), tmp_path / "pocket")
    assert not (tmp_path / "pocket").exists()


def test_channels_without_an_adapter_are_the_bases_own(tiny_base: Path) -> None:
    source = read_gguf(tiny_base)
    base = Base(source)
    inner, layers = base.intermediate_size, base.num_layers
    same = Channels(np.tile(np.arange(inner), (layers, 1)), np.ones((layers, inner), np.float32))
    for name in ("gate", "up", "down"):
        assert np.array_equal(base.projection(0, name), Base(source, same).projection(0, name))
