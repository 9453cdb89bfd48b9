"""Vocabularies to compare with: whatever they are, their pieces are the text."""

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers

from ossia.errors import CheckpointError, HashMismatchError, InputError
from ossia.tokenizer import load_o200k_harmony
from ossia.tokenizer.checkpoint import byte_of_character
from ossia.tokenizer.cutters import PUBLISHED, Cutter, FileCutter, HarmonyCutter, RankedCutter

TEXTS = ("Hello  world", "한국어 你好 👩‍👩‍👧", "<|start|>system<|message|>", "\n\t  x", "\ud800", "é\0\x7f")
BYTES = [bytes([b]) for b in range(256)]
MERGES = [b"ll", b"he", b"hell", b"\xed\x95", b"  "]


@pytest.fixture
def ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small file of ranks that counts as cl100k_base."""
    tokens = [*BYTES, *MERGES]
    data = b"".join(b"%b %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens))
    file = tmp_path / "cl100k_base.tiktoken"
    file.write_bytes(data)
    known = replace(PUBLISHED["cl100k_base"], sha256=hashlib.sha256(data).hexdigest())
    monkeypatch.setattr("ossia.tokenizer.cutters.PUBLISHED", {"cl100k_base": known})
    return file


def byte_level(folder: Path) -> FileCutter:
    alphabet = {b: c for c, b in byte_of_character().items()}
    vocabulary = {alphabet[b]: b for b in range(256)} | {"ll": 256, "<|start|>": 257}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, [("l", "l")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|start|>"])
    return written(tokenizer, folder)


def sentence_piece(folder: Path) -> FileCutter:
    """Llama's kind: ▁ for a space, bytes as <0x0A>."""
    vocabulary = {"<unk>": 0, **{f"<0x{b:02X}>": b + 1 for b in range(256)}, "▁": 257, "l": 258, "ll": 259}
    tokenizer = tokenizers.Tokenizer(
        models.BPE(vocabulary, [("l", "l")], unk_token="<unk>", byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(" ", "▁")])
    return written(tokenizer, folder)


def word_piece(folder: Path) -> FileCutter:
    """BERT's kind: lower case, ## inside of words, unknown words as one."""
    vocabulary = {"[UNK]": 0, "hel": 1, "##lo": 2, "world": 3}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return written(tokenizer, folder)


def written(tokenizer: tokenizers.Tokenizer, folder: Path) -> FileCutter:
    tokenizer.save(str(folder / "tokenizer.json"))
    return FileCutter("file", folder / "tokenizer.json")


def check(cutter: Cutter, text: str) -> None:
    pieces = cutter.pieces(text)
    assert [piece.id for piece in pieces] == cutter.encode(text)
    assert all(0 <= piece.id < cutter.size for piece in pieces)
    expected = text.replace("\ud800", "\ufffd").encode()
    assert b"".join(piece.data for piece in pieces) == expected


@pytest.mark.parametrize("make", [byte_level, sentence_piece])
def test_pieces_of_files_are_the_text(make: object, tmp_path: Path) -> None:
    cutter = make(tmp_path)  # type: ignore[operator]
    for text in TEXTS:
        check(cutter, text)


def test_a_file_that_normalises_is_cut_where_its_tokens_end(tmp_path: Path) -> None:
    pieces = word_piece(tmp_path).pieces("Hello  World é!")
    assert [piece.data.decode() for piece in pieces] == ["Hel", "lo", "  World", " é", "!"]
    assert [piece.id for piece in pieces] == [1, 2, 3, 0, 0]


def test_pieces_of_harmony_and_ranks_are_the_text(ranks: Path) -> None:
    for cutter in (HarmonyCutter(load_o200k_harmony()), RankedCutter("cl100k_base", ranks)):
        for text in TEXTS:
            check(cutter, text)


@settings(max_examples=100, deadline=None)
@given(text=st.text())
def test_pieces_of_harmony_are_any_text(text: str) -> None:
    check(HarmonyCutter(load_o200k_harmony()), text)


def test_ranks_merge(ranks: Path) -> None:
    cutter = RankedCutter("cl100k_base", ranks)
    assert [piece.data for piece in cutter.pieces("hello 한")] == [b"hell", b"o", b" ", b"\xed\x95", b"\x9c"]


def test_a_marker_in_text_is_text(tmp_path: Path, ranks: Path) -> None:
    assert 257 not in byte_level(tmp_path).encode("<|start|>")
    assert len(RankedCutter("cl100k_base", ranks).encode("<|endoftext|>")) == 13


def test_o200k_base_goes_by_its_name() -> None:
    cutter = HarmonyCutter(load_o200k_harmony(), name="o200k_base", size=200_019)
    assert (cutter.name, cutter.size) == ("o200k_base", 200_019)


def test_a_file_of_ranks_counts_by_its_hash(ranks: Path) -> None:
    ranks.write_bytes(ranks.read_bytes() + b"\n")
    with pytest.raises(HashMismatchError, match="SHA-256"):
        RankedCutter("cl100k_base", ranks)


def test_too_long_a_run_of_spaces_is_refused(ranks: Path) -> None:
    cutter = RankedCutter("cl100k_base", ranks)
    assert len(cutter.encode(" " * 299_999 + "x")) > 100_000
    with pytest.raises(InputError) as error:
        cutter.encode("x" + " " * 300_001)
    assert error.value.value == 300_001
    assert error.value.limit == 300_000


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": {"type": "Strange"}}', '"x"', "{" * 100_000])
def test_what_is_no_tokenizer_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        FileCutter("x", file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        FileCutter("x", tmp_path / "none.json")


def test_what_a_file_adds_around_a_text_is_left_out(tmp_path: Path) -> None:
    byte_level(tmp_path)
    file = tmp_path / "tokenizer.json"
    spec = json.loads(file.read_text())
    spec["truncation"] = {"max_length": 1, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}
    file.write_text(json.dumps(spec))
    assert len(FileCutter("x", file).encode("abc")) == 3
