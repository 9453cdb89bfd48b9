"""Pocket's vocabulary: the base's 49,152 tokens, 14 of whose unused specials carry Harmony's markers.

Builds the `tokenizer.json` the checkpoint carries: GPT-2 byte-level BPE behind a pre-tokenizer that
sets every digit apart (so numbers are read and copied digit by digit).
"""

import json
from typing import Any, cast

from ossia.errors import CheckpointError
from ossia.hub.pocket.gguf import GgufFile

ENDOFTEXT = 0
MARKERS: dict[str, int] = {
    "<|startoftext|>": 3,
    "<|return|>": 4,
    "<|constrain|>": 5,
    "<|channel|>": 6,
    "<|start|>": 7,
    "<|end|>": 8,
    "<|message|>": 9,
    "<|call|>": 10,
    "<|endofprompt|>": 11,
    **{f"<|reserved_{token_id}|>": token_id for token_id in range(12, 17)},
}
MARKER_IDS = tuple(MARKERS.values())
STOP_IDS = (MARKERS["<|return|>"], ENDOFTEXT, MARKERS["<|call|>"])
_CONTROL = 3  # GGUF's token type of specials


def tokenizer_json(source: GgufFile) -> str:
    """The text of `tokenizer.json`; raises CheckpointError when the base has no byte-level vocabulary."""
    tokens, merges, types = (_list(source, key) for key in ("tokens", "merges", "token_type"))
    if source.metadata.get("tokenizer.ggml.model") != "gpt2" or len(tokens) < len(MARKERS) + 3:
        raise CheckpointError("the base does not carry a GPT-2 vocabulary", remedy="Fetch the base again.")
    names = {token_id: name for name, token_id in MARKERS.items()}
    texts = [names.get(token_id, str(token)) for token_id, token in enumerate(tokens)]
    specials = [token_id for token_id, kind in enumerate(types) if kind == _CONTROL]
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_special(token_id, texts[token_id]) for token_id in specials],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            ],
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {text: token_id for token_id, text in enumerate(texts)},
            "merges": [str(merge).split(" ") for merge in merges],
        },
    }
    return json.dumps(document, ensure_ascii=False)


def _list(source: GgufFile, key: str) -> list[Any]:
    value = source.metadata.get(f"tokenizer.ggml.{key}")
    if not isinstance(value, list):
        raise CheckpointError(
            f"the base does not carry its tokenizer's {key}", remedy="Fetch the base again."
        )
    return cast("list[Any]", value)


def _special(token_id: int, text: str) -> dict[str, Any]:
    return {
        "id": token_id,
        "content": text,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
