"""Vocabularies to compare with: the ones OpenAI published, and whatever a tokenizer.json holds.

They cut text and nothing else: no control tokens, no Harmony. Text is always ordinary text. Where files come
from is not known here.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

import tiktoken
import tokenizers

from ossia.errors import CheckpointError, HashMismatchError, InputError
from ossia.tokenizer.base import Tokenizer
from ossia.tokenizer.checkpoint import byte_of_character
from ossia.tokenizer.pieces import well_formed

_GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
_CL100K_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_RUN_LIMIT = 300_000  # spaces in a row: tiktoken's regex engine overflows its stack not far above
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True, slots=True)
class Piece:
    """One token of a text: its id and the bytes it stands for."""

    id: int
    data: bytes


class Cutter(Protocol):
    """A vocabulary that can cut a text. The pieces' bytes, joined, are the text's UTF-8."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int:
        """Ids in the vocabulary, control tokens included."""
        ...

    def encode(self, text: str) -> list[int]: ...

    def pieces(self, text: str) -> list[Piece]: ...


@dataclass(frozen=True, slots=True)
class Published:
    """A vocabulary's file of ranks (base64, a space, the rank, a line each), and how text is split before."""

    file: str
    size: int
    size_bytes: int
    sha256: str
    pattern: str


_R50K = Published(
    file="r50k_base.tiktoken",
    size=50_257,
    size_bytes=835_554,
    sha256="306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
    pattern=_GPT2_PATTERN,
)
PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "cl100k_base": Published(
            file="cl100k_base.tiktoken",
            size=100_277,
            size_bytes=1_681_126,
            sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
            pattern=_CL100K_PATTERN,
        ),
        "p50k_base": Published(
            file="p50k_base.tiktoken",
            size=50_281,
            size_bytes=836_186,
            sha256="94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
            pattern=_GPT2_PATTERN,
        ),
        "r50k_base": _R50K,
        "gpt2": _R50K,  # the same tokens under the same ids
    }
)
"""Source: tiktoken 0.14, openai_public. o200k_base is not here: its ranks are the packaged ones."""


class HarmonyCutter:
    """A tokenizer of ours as a Cutter, under any name."""

    def __init__(self, tok: Tokenizer, *, name: str = "", size: int = 0) -> None:
        self._tok = tok
        self.name = name or tok.name
        self.size = size or tok.vocab_size

    def encode(self, text: str) -> list[int]:
        return self._tok.encode(text)

    def pieces(self, text: str) -> list[Piece]:
        return [Piece(i, self._tok.decode_bytes([i])) for i in self._tok.encode(text)]


class RankedCutter:
    """A published vocabulary from its file of ranks."""

    def __init__(self, name: str, file: Path) -> None:
        """Read `file`; raises HashMismatchError unless it is the published one."""
        published = PUBLISHED[name]
        data = file.read_bytes()
        if hashlib.sha256(data).hexdigest() != published.sha256:
            raise HashMismatchError(
                f"{file} is not the published {name}: its SHA-256 differs",
                value=hashlib.sha256(data).hexdigest(),
                limit=published.sha256,
                remedy=f"Remove it, and fetch {published.file} again.",
            )
        ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, data.splitlines())}
        self.name, self.size = name, published.size
        self._bpe = tiktoken.Encoding(
            name, pat_str=published.pattern, mergeable_ranks=ranks, special_tokens={}
        )

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; raises InputError for more than 300,000 spaces in a row."""
        if len(text) > _RUN_LIMIT and re.search(rf"\s{{{_RUN_LIMIT + 1}}}", text):
            raise InputError(
                f"{self.name} cannot cut so long a run of spaces",
                value=max(len(run[0]) for run in re.finditer(r"\s+", text)),
                limit=_RUN_LIMIT,
                remedy="Shorten the run.",
            )
        return self._bpe.encode_ordinary(well_formed(text))

    def pieces(self, text: str) -> list[Piece]:
        return [Piece(i, self._bpe.decode_single_token_bytes(i)) for i in self.encode(text)]


class FileCutter:
    """Any Hugging Face tokenizer.json, byte-level or not, without what it adds around a text."""

    def __init__(self, name: str, file: Path) -> None:
        """Read `file`; raises CheckpointError for what is no tokenizer.json."""
        self._spec = _read_spec(file)
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(self._spec))
        except Exception as cause:  # tokenizers raises a bare Exception for whatever it cannot read
            raise _unreadable(file, str(cause)) from cause
        self._tokenizer.encode_special_tokens = True
        self.name, self.size = name, self._tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(well_formed(text), add_special_tokens=False).ids

    def pieces(self, text: str) -> list[Piece]:
        text = well_formed(text)
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        data = [self._bytes_of(token) for token in encoding.tokens]
        if b"".join(data) != text.encode():  # the tokenizer normalises, or names its tokens in its own way
            data = _spans(text, encoding.offsets)
        return [Piece(i, piece) for i, piece in zip(encoding.ids, data, strict=True)]

    @cached_property
    def _is_byte_level(self) -> bool:
        return "ByteLevel" in json.dumps([self._spec.get("pre_tokenizer"), self._spec.get("decoder")])

    @cached_property
    def _alphabet(self) -> dict[str, int]:
        return byte_of_character()

    def _bytes_of(self, token: str) -> bytes:
        if self._is_byte_level and all(c in self._alphabet for c in token):
            return bytes(self._alphabet[c] for c in token)
        if named := _BYTE_TOKEN.fullmatch(token):
            return binascii.unhexlify(named[1])
        return token.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()


def _spans(text: str, offsets: list[tuple[int, int]]) -> list[bytes]:
    """The text cut where the tokens end; what lies between two belongs to the second."""
    pieces: list[bytes] = []
    done = 0
    for i, (_, end) in enumerate(offsets):
        end = len(text) if i == len(offsets) - 1 else max(done, end)
        pieces.append(text[done:end].encode())
        done = end
    return pieces


def _read_spec(file: Path) -> dict[str, Any]:
    try:
        spec: Any = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as cause:
        raise _unreadable(file, str(cause)) from cause
    if not isinstance(spec, dict) or "model" not in spec:
        raise _unreadable(file, "it has no model")
    kept = {"post_processor": None, "truncation": None, "padding": None}
    return cast(dict[str, Any], spec) | kept


def _unreadable(file: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"{file} cannot be read as a tokenizer: {why}",
        value=str(file),
        limit="a Hugging Face tokenizer.json",
        remedy="Give the tokenizer.json of a model, or the folder that holds it.",
    )
