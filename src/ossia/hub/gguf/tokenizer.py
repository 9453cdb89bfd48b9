"""The tokenizer of a GGUF file: the packaged o200k_harmony if its tokens are those, else one made of them.

A GGUF file holds a byte-level BPE as lists: the tokens (in GPT-2's printable alphabet), their types, the
merges, and the name llama.cpp has for the way text is cut before merging.
"""

from typing import Any

from ossia.errors import CheckpointError
from ossia.model.config import O200K_VOCAB
from ossia.model.gguf.container import Gguf
from ossia.tokenizer import Tokenizer, load_o200k_harmony
from ossia.tokenizer.checkpoint import CheckpointTokenizer, byte_of_character
from ossia.tokenizer.vocabulary import TOKENS

_NORMAL, _USER_DEFINED = 1, 4
_STEP = 499  # prime: every 499th token is compared, some 400 of them
_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
_WORD, _UPPER, _LOWER = (
    r"[^\r\n\p{L}\p{N}]?",
    r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]",
)
_END = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_O200K = (
    rf"{_WORD}{_UPPER}*{_LOWER}+{_END}|{_WORD}{_UPPER}+{_LOWER}*{_END}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLIT = {"type": "Split", "pattern": {"Regex": _O200K}, "behavior": "Isolated", "invert": False}
_CUTS: dict[str, list[dict[str, Any]]] = {
    "gpt-4o": [_SPLIT, _BYTES | {"use_regex": False}],
    "gpt-2": [_BYTES | {"use_regex": True}],
    "default": [_BYTES | {"use_regex": True}],
    "smollm": [{"type": "Digits", "individual_digits": True}, _BYTES | {"use_regex": True}],
}


def gguf_tokenizer(gguf: Gguf, name: str) -> Tokenizer:
    """The tokenizer the file was made with.

    Raises CheckpointError for a vocabulary that is no byte-level BPE, is cut in a way not known here, or has
    no Harmony markers.
    """
    tokens = [str(token) for token in gguf.values("tokenizer.ggml.tokens")]
    if _is_o200k_harmony(tokens):
        return load_o200k_harmony()
    model, cut = (gguf.metadata.get(f"tokenizer.ggml.{key}") for key in ("model", "pre"))
    if model != "gpt2" or not tokens:
        raise _unusable(f"{name} brings no byte-level vocabulary, but {model!r}", model, "gpt2")
    if cut not in (None, *_CUTS):
        raise _unusable(f"{name} cuts text the way called {cut!r}", cut, tuple(_CUTS))
    return CheckpointTokenizer(name, _specification(gguf, tokens, _CUTS[cut or "default"]))


def _is_o200k_harmony(tokens: list[str]) -> bool:
    if len(tokens) != O200K_VOCAB:
        return False
    packaged, byte_of = load_o200k_harmony(), byte_of_character()
    markers = {name: i for name, i in packaged.special_tokens.items() if not name.startswith("<|reserved")}
    return all(tokens[i] == name for name, i in markers.items() if name != "<|endofprompt|>") and all(
        packaged.decode_bytes([i]) == bytes(byte_of.get(c, 0) for c in tokens[i])
        for i in range(0, TOKENS, _STEP)
    )


def _specification(gguf: Gguf, tokens: list[str], cuts: list[dict[str, Any]]) -> dict[str, Any]:
    """The lists as a tokenizer.json; every token that is not a normal one is an added one."""
    types = gguf.values("tokenizer.ggml.token_type") or [_NORMAL] * len(tokens)
    pairs = [str(merge).split(" ") for merge in gguf.values("tokenizer.ggml.merges")]
    if len(types) != len(tokens) or any(len(pair) != 2 for pair in pairs):
        raise _unusable("its vocabulary, types and merges do not belong together", len(types), len(tokens))
    added = [
        {"id": i, "content": token, "special": kind != _USER_DEFINED, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False}
        for i, (token, kind) in enumerate(zip(tokens, types, strict=True)) if kind != _NORMAL
    ]  # fmt: skip
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": cuts},
        "post_processor": None,
        "decoder": _BYTES | {"use_regex": True},
        "model": {
            "type": "BPE",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": pairs,
        },
    }


def _unusable(message: str, value: object, limit: object) -> CheckpointError:
    return CheckpointError(
        message,
        value=value,
        limit=limit,
        remedy="Use a GGUF file of gpt-oss, or of a model made for Harmony.",
    )
