"""Tiny random gpt-oss checkpoints that exercise everything: routing, sinks, both windows, YaRN, biases.

Written with numpy alone (safetensors' numpy writer), in the layouts a real one has, so that unit tests
can use it without torch. Weights are larger than an initialisation's so that routing is decided and
sinks matter.
"""

import json
from pathlib import Path

import numpy as np

CONFIG = {
    "architectures": ["GptOssForCausalLM"],
    "attention_bias": True,
    "eos_token_id": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 96,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "max_position_embeddings": 4096,
    "model_type": "gpt_oss",
    "num_attention_heads": 8,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 4,
    "num_key_value_heads": 2,
    "num_local_experts": 8,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 32.0,
        "original_max_position_embeddings": 128,
        "rope_type": "yarn",
        "truncate": False,
    },
    "rope_theta": 150000.0,
    "sliding_window": 16,
    "swiglu_limit": 7.0,
    "tie_word_embeddings": False,
    "vocab_size": 160,
}


def bf16_bits(x):
    """float32 → bf16's bits as uint16, rounded to nearest even."""
    u = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def bits_float32(bits):
    """bf16's bits → float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def tiny_tensors(seed=0, config=CONFIG):
    """Hugging Face names → uint8 (MXFP4 parts) or float32 holding values exact in bf16."""
    rng = np.random.default_rng(seed)
    h, f, e, v = (config[k] for k in ("hidden_size", "intermediate_size", "num_local_experts", "vocab_size"))
    d, hq, hkv = (config[k] for k in ("head_dim", "num_attention_heads", "num_key_value_heads"))

    def normal(*shape, scale):
        return bits_float32(bf16_bits(rng.standard_normal(shape) * scale))

    t = {
        "model.embed_tokens.weight": normal(v, h, scale=1),
        "model.norm.weight": 1 + normal(h, scale=0.125),
        "lm_head.weight": normal(v, h, scale=h**-0.5),
    }
    for n in range(config["num_hidden_layers"]):
        at = f"model.layers.{n}."
        t |= {
            at + "input_layernorm.weight": 1 + normal(h, scale=0.125),
            at + "post_attention_layernorm.weight": 1 + normal(h, scale=0.125),
            at + "self_attn.sinks": normal(hq, scale=1.0),
            at + "self_attn.o_proj.weight": normal(h, hq * d, scale=(hq * d) ** -0.5),
            at + "self_attn.o_proj.bias": normal(h, scale=0.1),
            at + "mlp.router.weight": normal(e, h, scale=h**-0.5),
            at + "mlp.router.bias": normal(e, scale=0.5),
            # One channel in eight is biased so far that the clamps at ±7 bite.
            at + "mlp.experts.gate_up_proj_bias": normal(e, 2 * f, scale=0.5)
            + np.where(rng.random((e, 2 * f)) < 0.125, normal(e, 2 * f, scale=8), np.float32(0)),
            at + "mlp.experts.down_proj_bias": normal(e, h, scale=0.1),
        }
        for name, rows in (("q_proj", hq * d), ("k_proj", hkv * d), ("v_proj", hkv * d)):
            t[f"{at}self_attn.{name}.weight"] = normal(rows, h, scale=1.5 * h**-0.5)
            t[f"{at}self_attn.{name}.bias"] = normal(rows, scale=0.2)
        for name, rows, columns, exponent in (("gate_up_proj", 2 * f, h, 124), ("down_proj", h, f, 121)):
            key = f"{at}mlp.experts.{name}_"
            t[key + "blocks"] = rng.integers(0, 256, (e, rows, columns // 32, 16), np.uint8)
            t[key + "scales"] = rng.integers(exponent - 2, exponent + 1, (e, rows, columns // 32)).astype(
                np.uint8
            )
    return {k: bits_float32(bf16_bits(x)) if x.dtype == np.float32 else x for k, x in t.items()}


def unpack(blocks, scales):
    """MXFP4 → float32 (..., columns), straight from the format's definition."""
    table = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    nibbles = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape(*scales.shape, 32)
    values = table[nibbles & 7] * np.where(nibbles & 8, np.float32(-1), np.float32(1))
    return (values * np.exp2(scales.astype(np.float32) - 127)[..., None]).reshape(*scales.shape[:-1], -1)


def dense_experts(tensors):
    """The same model with experts as transformers keeps them unquantised: (E, in, out)."""
    out = {k: x for k, x in tensors.items() if not k.endswith(("_blocks", "_scales"))}
    for k, blocks in tensors.items():
        if k.endswith("_blocks"):
            name = k.removesuffix("_blocks")
            values = unpack(blocks, tensors[name + "_scales"])
            out[name] = np.ascontiguousarray(values.swapaxes(1, 2))
    return out


def original_layout(tensors, config=CONFIG):
    """The same model under original/'s names, q, k and v fused."""
    names = {
        "input_layernorm.weight": "attn.norm.scale", "self_attn.o_proj": "attn.out",
        "self_attn.sinks": "attn.sinks", "post_attention_layernorm.weight": "mlp.norm.scale",
        "mlp.router": "mlp.gate", "mlp.experts.gate_up_proj_bias": "mlp.mlp1_bias",
        "mlp.experts.down_proj_bias": "mlp.mlp2_bias", "mlp.experts.gate_up_proj_": "mlp.mlp1_weight.",
        "mlp.experts.down_proj_": "mlp.mlp2_weight.",
    }  # fmt: skip
    out = {
        "embedding.weight": tensors["model.embed_tokens.weight"],
        "norm.scale": tensors["model.norm.weight"],
        "unembedding.weight": tensors["lm_head.weight"],
    }
    for n in range(config["num_hidden_layers"]):
        at = f"model.layers.{n}."
        for part in ("weight", "bias"):
            fused = [tensors[f"{at}self_attn.{x}_proj.{part}"] for x in "qkv"]
            out[f"block.{n}.attn.qkv.{part}"] = np.concatenate(fused)
        for key, x in tensors.items():
            for ours, theirs in names.items():
                if key.startswith(at + ours):
                    out[f"block.{n}.{theirs}{key.removeprefix(at + ours)}"] = x
                    break
    return out


def original_config(config=CONFIG):
    """original/config.json's shape."""
    kept = ("hidden_size", "intermediate_size", "head_dim", "num_attention_heads", "num_key_value_heads",
            "num_hidden_layers", "sliding_window", "swiglu_limit", "vocab_size", "rope_theta")  # fmt: skip
    rope = config["rope_scaling"]
    return {k: config[k] for k in kept} | {
        "num_experts": config["num_local_experts"],
        "experts_per_token": config["num_experts_per_tok"],
        "initial_context_length": rope["original_max_position_embeddings"],
        "rope_scaling_factor": rope["factor"],
        "rope_ntk_alpha": rope["beta_slow"],
        "rope_ntk_beta": rope["beta_fast"],
    }


def as_stored(tensors, dtype="bf16"):
    """float32 tensors as the file will hold them; `write_tensors` knows uint16 as BF16."""
    if dtype == "f32":
        return tensors
    return {k: bf16_bits(x) if x.dtype == np.float32 else x for k, x in tensors.items()}


def write_tensors(path, tensors):
    """A safetensors file; uint16 is written as BF16, which numpy has no name for."""
    types = {"uint8": "U8", "uint16": "BF16", "float16": "F16", "float32": "F32"}
    header, at = {}, 0
    for name, x in tensors.items():
        header[name] = {"dtype": types[x.dtype.name], "shape": x.shape, "data_offsets": [at, at + x.nbytes]}
        at += x.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for x in tensors.values():
            f.write(np.ascontiguousarray(x).tobytes())


def write_checkpoint(folder, tensors, config, shards=1, indent=None):
    """config.json and `shards` safetensors files, with an index if there are several."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=indent) + "\n")
    if shards == 1:
        write_tensors(folder / "model.safetensors", tensors)
        return folder
    names = list(tensors)
    weight_map = {}
    for i in range(shards):
        file = f"model-{i:05}-of-{shards - 1:05}.safetensors"
        part = {k: tensors[k] for k in names[i::shards]}
        write_tensors(folder / file, part)
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def quantised(config=CONFIG):
    """`config` saying that the experts are MXFP4, as the published files say it."""
    skip = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    return config | {"quantization_config": {"modules_to_not_convert": skip, "quant_method": "mxfp4"}}
