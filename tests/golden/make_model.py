"""Makes tests/golden/model: a tiny random MXFP4 checkpoint and the logits transformers computes from it.

Run with the oracle extra installed: python tests/golden/make_model.py. Numbers come from transformers'
GptOssForCausalLM in float32 with eager attention and eager experts; `make test` then compares without torch.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from transformers import GptOssForCausalLM

sys.path.insert(0, str(Path(__file__).parents[1] / "oracle"))

from tiny_gptoss import CONFIG, as_stored, quantised, tiny_tensors, write_checkpoint

FOLDER = Path(__file__).parent / "model"
GOLDEN_CONFIG = CONFIG | {
    "intermediate_size": 64,
    "layer_types": ["sliding_attention", "full_attention"],
    "num_hidden_layers": 2,
    "vocab_size": 96,
}


def main():
    write_checkpoint(FOLDER, as_stored(tiny_tensors(7, GOLDEN_CONFIG)), quantised(GOLDEN_CONFIG), indent=1)
    ids = np.random.default_rng(8).integers(0, GOLDEN_CONFIG["vocab_size"], 200).astype(np.int32)
    model = GptOssForCausalLM.from_pretrained(
        FOLDER, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    )
    with torch.no_grad():
        logits = model(torch.tensor(ids, dtype=torch.int64)[None]).logits[0].numpy()
    np.savez(FOLDER / "expected.npz", ids=ids, logits=logits)


if __name__ == "__main__":
    main()
