"""GGUF files with a vocabulary; the builder stands beside the oracle tests."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "oracle"))

from tiny_gguf import write_gguf
from tiny_gptoss import CONFIG, tiny_tensors, write_checkpoint

TOKENIZER = json.loads((Path(__file__).parents[3] / "golden" / "tokenizer_tiny.json").read_text())
SHAPE = CONFIG | {"vocab_size": 288, "num_hidden_layers": 2, "layer_types": CONFIG["layer_types"][:2]}


def lists_of(spec):
    """A tokenizer.json's vocabulary as the lists of a GGUF file: tokens, merges, ids of control tokens."""
    ids = dict(spec["model"]["vocab"]) | {token["content"]: token["id"] for token in spec["added_tokens"]}
    tokens = [f"[PAD{i}]" for i in range(SHAPE["vocab_size"])]
    for token, i in ids.items():
        tokens[i] = token
    control = {token["id"] for token in spec["added_tokens"]} | set(range(len(ids), len(tokens)))
    merges = [m if isinstance(m, str) else " ".join(m) for m in spec["model"]["merges"]]
    return {"tokens": tokens, "merges": merges, "control": control}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The same tiny model twice: a folder of safetensors with a tokenizer.json, and a GGUF file."""
    folder = tmp_path_factory.mktemp("pair")
    tensors = tiny_tensors(11, SHAPE)
    config = SHAPE | {"quantization_config": {"quant_method": "mxfp4"}, "eos_token_id": 7}
    write_checkpoint(folder / "hf", tensors, config)
    (folder / "hf" / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    write_gguf(folder / "tiny.gguf", tensors, SHAPE, pre="smollm", eos=7, **lists_of(TOKENIZER))
    write_gguf(
        folder / "ollama.gguf", tensors, SHAPE, naming="ollama", pre="smollm", eos=7, **lists_of(TOKENIZER)
    )
    return folder
