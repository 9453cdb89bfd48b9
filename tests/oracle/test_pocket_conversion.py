"""The converted base against transformers: exact in float32, and the checkpoint loads unchanged as GptOss."""

import json
from pathlib import Path

import pytest
import torch
from tiny_base import VOCAB, write_base
from transformers import GptOssConfig, GptOssForCausalLM, LlamaConfig, LlamaForCausalLM

from ossia.hub.pocket import convert
from ossia.hub.pocket.convert import build_tensors, config_of, convert_pocket
from ossia.hub.pocket.gguf import GgufFile, read_gguf
from ossia.hub.pocket.layout import Base
from ossia.hub.progress import silent
from ossia.settings import load_settings


@pytest.fixture(scope="module")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "tiny.gguf")


def _llama(source: GgufFile) -> LlamaForCausalLM:
    """transformers' Llama with the GGUF's weights, its q and k turned to halves by the usual view."""
    base = Base(source)
    config = LlamaConfig(
        vocab_size=base.vocab_size,
        hidden_size=base.hidden_size,
        intermediate_size=base.intermediate_size,
        num_hidden_layers=base.num_layers,
        num_attention_heads=base.num_heads,
        num_key_value_heads=base.num_kv_heads,
        head_dim=base.head_dim,
        rope_theta=base.rope_theta,
        rms_norm_eps=base.eps,
        max_position_embeddings=base.context_length,
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    state = {
        "model.embed_tokens.weight": source.tensor("token_embd.weight"),
        "lm_head.weight": source.tensor("token_embd.weight"),
        "model.norm.weight": source.tensor("output_norm.weight"),
    }
    names = {
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }
    for layer in range(base.num_layers):
        for theirs, ours in names.items():
            weight = source.tensor(f"blk.{layer}.{theirs}.weight")
            if theirs in ("attn_q", "attn_k"):
                # llama.cpp's converter interleaved the halves: this is its inverse.
                heads = base.num_heads if theirs == "attn_q" else base.num_kv_heads
                rows, columns = weight.shape
                weight = weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2)
                weight = weight.reshape(rows, columns)
            state[f"model.layers.{layer}.{ours}.weight"] = weight
    model = LlamaForCausalLM(config).eval()
    model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})
    return model


def _gpt_oss(source: GgufFile) -> GptOssForCausalLM:
    """transformers' GptOss with the exact (float32, unquantised) conversion."""
    config = {key: value for key, value in config_of(source).items() if key != "quantization_config"}
    model = GptOssForCausalLM(GptOssConfig(**config, attn_implementation="eager")).float().eval()
    tensors = {
        name: torch.from_numpy(t.data.copy())
        for name, t in build_tensors(source, None, silent, exact=True).items()
    }
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not missing
    assert not unexpected
    return model


@torch.no_grad()
def _logits(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    return model(ids[None]).logits[0].float()


def test_exact_conversion_of_a_tiny_base_gives_llamas_logits(base_path: Path) -> None:
    source = read_gguf(base_path)
    ids = torch.randint(20, VOCAB, (100,), generator=torch.Generator().manual_seed(1))
    expected, found = _logits(_llama(source), ids), _logits(_gpt_oss(source), ids)
    # float32 sums of up to 256 terms in 3 layers: some 1e-6 of the largest logit; ten times that allowed.
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    assert torch.equal(found.argmax(dim=-1), expected.argmax(dim=-1))


def test_the_checkpoint_loads_unchanged_as_gpt_oss(
    base_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "packaged_adapter", lambda: None)  # it fits the real base only
    convert_pocket(base_path, tmp_path / "pocket")
    model, report = GptOssForCausalLM.from_pretrained(
        tmp_path / "pocket", dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    config = json.loads((tmp_path / "pocket" / "config.json").read_text(encoding="utf-8"))
    assert model.config.num_local_experts == config["num_local_experts"] == 8
    source = read_gguf(base_path)
    ids = torch.randint(20, VOCAB, (60,), generator=torch.Generator().manual_seed(2))
    exact, rounded = _logits(_gpt_oss(source), ids), _logits(model, ids)
    # MXFP4 rounds each weight by up to a fifth: the directions must agree, not the digits.
    assert torch.nn.functional.cosine_similarity(exact, rounded, dim=-1).min() > 0.9


def _real_base() -> Path | None:
    found = load_settings().pocket_base
    return found if found is not None and found.suffix == ".gguf" and found.is_file() else None


@pytest.mark.skipif(_real_base() is None, reason="OSSIA_POCKET_BASE does not name pocket's .gguf")
def test_exact_conversion_of_the_real_base_gives_llamas_logits() -> None:
    base = _real_base()
    assert base is not None
    source = read_gguf(base)
    ids = torch.randint(100, 40_000, (128,), generator=torch.Generator().manual_seed(3))
    expected = _logits(_llama(source), ids)
    model = _gpt_oss(source)
    for layer in model.model.layers:
        layer.mlp.experts.limit = 1e9  # the clamp is not in question here, and random ids reach it
    found = _logits(model, ids)
    assert (found - expected).abs().max() < 1e-3
    assert torch.equal(found.argmax(dim=-1), expected.argmax(dim=-1))
