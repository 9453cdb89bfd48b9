"""GGUF files of tiny_gptoss's models, written with the `gguf` package: llama.cpp's names and Ollama's first.

MXFP4 blocks are put into GGUF's order here, from the format's definition, apart from what the package reads
them with.
"""

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from tiny_gptoss import CONFIG, bf16_bits

OLLAMA_MXFP4 = 4  # the type's number in Ollama's first files, which keep the published order of nibbles


def gguf_order(blocks):
    """16 bytes of neighbours, low nibble first → low nibbles elements 0 to 15, high nibbles 16 to 31."""
    elements = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape(*blocks.shape[:-1], 32)
    return elements[..., :16] | elements[..., 16:] << 4


def mxfp4_bytes(blocks, scales, published=False):
    """(E, N, K/32, 16) and (E, N, K/32) → (E, N, 17 K/32)."""
    nibbles = blocks if published else gguf_order(blocks)
    return np.concatenate([scales[..., None], nibbles], axis=-1).reshape(*scales.shape[:2], -1)


def llama_names(t, layers):
    """Hugging Face names → llama.cpp's, gate and up apart; experts as their bytes."""
    out = {
        "token_embd.weight": t["model.embed_tokens.weight"],
        "output_norm.weight": t["model.norm.weight"],
        "output.weight": t["lm_head.weight"],
    }
    for n in range(layers):
        ours, theirs = f"model.layers.{n}.", f"blk.{n}."
        out |= {
            theirs + "attn_norm.weight": t[ours + "input_layernorm.weight"],
            theirs + "post_attention_norm.weight": t[ours + "post_attention_layernorm.weight"],
            theirs + "attn_sinks.weight": t[ours + "self_attn.sinks"],
        }
        for part in ("weight", "bias"):
            for name, x in (("attn_output", "o_proj"), *((f"attn_{x}", f"{x}_proj") for x in "qkv")):
                out[f"{theirs}{name}.{part}"] = t[f"{ours}self_attn.{x}.{part}"]
            out[f"{theirs}ffn_gate_inp.{part}"] = t[f"{ours}mlp.router.{part}"]
        at = ours + "mlp.experts."
        for i, name in enumerate(("gate", "up")):
            out[f"{theirs}ffn_{name}_exps.bias"] = t[at + "gate_up_proj_bias"][:, i::2]
            out[f"{theirs}ffn_{name}_exps.weight"] = experts(t, at + "gate_up_proj", slice(i, None, 2))
        out[theirs + "ffn_down_exps.bias"] = t[at + "down_proj_bias"]
        out[theirs + "ffn_down_exps.weight"] = experts(t, at + "down_proj")
    return out


def ollama_names(t, layers):
    """Hugging Face names → those of Ollama's first files: q, k, v fused, and gate and up."""
    renamed = {
        "post_attention_norm": "ffn_norm",
        "attn_output": "attn_out",
        "attn_sinks.weight": "attn_sinks",
    }
    out = {}
    for name, x in llama_names(t, layers).items():
        if any(f".attn_{letter}." in name for letter in "qkv") or "_gate_exps" in name or "_up_exps" in name:
            continue
        for theirs, old in renamed.items():
            name = name.replace(theirs, old)
        out[name] = x
    for n in range(layers):
        ours, theirs = f"model.layers.{n}.", f"blk.{n}."
        for part in ("weight", "bias"):
            out[f"{theirs}attn_qkv.{part}"] = np.concatenate(
                [t[f"{ours}self_attn.{x}_proj.{part}"] for x in "qkv"]
            )
        at = ours + "mlp.experts."
        out[theirs + "ffn_gate_up_exps.bias"] = t[at + "gate_up_proj_bias"]
        out[theirs + "ffn_gate_up_exps.weight"] = experts(t, at + "gate_up_proj", published=True)
        out[theirs + "ffn_down_exps.weight"] = experts(t, at + "down_proj", published=True)
    return out


def experts(t, name, rows=slice(None), published=False):
    """Experts' bytes; of unquantised ones the values, rows per output."""
    if name in t:
        return np.ascontiguousarray(t[name].swapaxes(1, 2)[:, rows])
    return mxfp4_bytes(t[name + "_blocks"][:, rows], t[name + "_scales"][:, rows], published)


def add_metadata(writer, config, first_of_ollama=False):
    """What both programs write of a model's shape; Ollama's first files wrote less."""
    rope = config["rope_scaling"]
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_expert_count(config["num_local_experts"])
    writer.add_expert_used_count(config["num_experts_per_tok"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_sliding_window(config["sliding_window"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_scaling_factor(rope["factor"])
    writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if not first_of_ollama:
        writer.add_expert_feed_forward_length(config["intermediate_size"])
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)


def add_vocabulary(writer, tokens, merges=(), control=(), eos=None, pre="gpt-4o"):
    """A byte-level vocabulary; `control` are the ids of control tokens."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(list(tokens))
    writer.add_token_types([3 if i in control else 1 for i in range(len(tokens))])
    writer.add_token_merges(list(merges))
    if eos is not None:
        writer.add_eos_token_id(eos)


def add_tensor(writer, name, x, dense):
    """Bytes as MXFP4, vectors and routers as float32, other matrices as `dense`."""
    if x.dtype == np.uint8:
        writer.add_tensor(name, np.ascontiguousarray(x), raw_dtype=Type.MXFP4)
    elif x.ndim == 1 or name.endswith(".bias") or "ffn_gate_inp" in name or dense == "F32":
        writer.add_tensor(name, np.ascontiguousarray(x, np.float32))
    elif dense == "BF16":
        writer.add_tensor(name, bf16_bits(x).view(np.uint8).reshape(*x.shape[:-1], -1), raw_dtype=Type.BF16)
    elif dense == "F16":
        writer.add_tensor(name, x.astype(np.float16))
    else:
        writer.add_tensor(name, gguf.quantize(x.astype(np.float32), Type[dense]), raw_dtype=Type[dense])


def write_gguf(
    path, tensors, config=CONFIG, *, naming="llama.cpp", dense="F32", tokens=None, parts=1, **more
):
    """Write a model; `parts` files when more than one. Returns the path to open."""
    names = ollama_names if naming == "ollama" else llama_names
    stored = names(tensors, config["num_hidden_layers"])
    per_part = -(-len(stored) // parts) if parts > 1 else 0
    write_stored(path, stored, config, naming=naming, dense=dense, tokens=tokens, per_part=per_part, **more)
    return path if parts == 1 else min(path.parent.glob(f"{path.stem}-*-of-*.gguf"))


def write_stored(
    path, stored, config, *, naming="llama.cpp", dense="F32", tokens=None, per_part=0, also=None, **vocabulary
):
    """Write tensors by the names a file gives them, `dense` as the type of matrices, or by name; `also`: more
    metadata, by key."""
    first_of_ollama = naming == "ollama"
    writer = gguf.GGUFWriter(path, "gptoss" if first_of_ollama else "gpt-oss", split_max_tensors=per_part)
    add_metadata(writer, config, first_of_ollama)
    tokens = [f"t{i}" for i in range(config["vocab_size"])] if tokens is None else tokens
    add_vocabulary(writer, tokens, **vocabulary)
    for key, value in (also or {}).items():
        writer.kv_data[0].pop(key, None)
        add = {
            int: writer.add_uint32,
            float: writer.add_float32,
            str: writer.add_string,
            list: writer.add_array,
        }
        add[type(value)](key, value)
    for name, x in stored.items():
        add_tensor(writer, name, x, dense.get(name, "F32") if isinstance(dense, dict) else dense)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if first_of_ollama:
        renumber(path, Type.MXFP4, OLLAMA_MXFP4)


def renumber(path, old, new):
    """Change the type of every tensor of type `old` in a file's header."""
    data = bytearray(path.read_bytes())
    for tensor in gguf.GGUFReader(path).tensors:
        if tensor.tensor_type == old:
            field = tensor.field
            at = field.offset + sum(int(part.nbytes) for part in field.parts[:4])
            assert int.from_bytes(data[at : at + 4], "little") == int(old)
            data[at : at + 4] = int(new).to_bytes(4, "little")
    path.write_bytes(data)
