"""The tokenizer.json that pocket's checkpoint carries."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from ossia.errors import CheckpointError
from ossia.hub.pocket.gguf import read_gguf
from ossia.hub.pocket.vocabulary import MARKER_IDS, MARKERS, STOP_IDS, tokenizer_json
from ossia.tokenizer import load_checkpoint_tokenizer


def test_markers_sit_on_the_fourteen_unused_specials() -> None:
    assert tuple(range(3, 17)) == MARKER_IDS
    assert [MARKERS[name] for name in ("<|return|>", "<|call|>")] == [STOP_IDS[0], STOP_IDS[2]]


def test_text_is_cut_into_bytes_merges_and_single_digits(tiny_base: Path) -> None:
    tokenizer = Tokenizer.from_str(tokenizer_json(read_gguf(tiny_base)))
    assert tokenizer.encode("the 12 thé").tokens == ["the", "Ġ", "1", "2", "Ġ", "th", "Ã", "©"]
    assert tokenizer.decode(tokenizer.encode("the 12 thé\n").ids) == "the 12 thé\n"
    assert tokenizer.encode("<|start|>").ids == [MARKERS["<|start|>"]]


def test_ossias_tokenizer_finds_the_markers(tiny_base: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(read_gguf(tiny_base)), encoding="utf-8")
    found = load_checkpoint_tokenizer(tmp_path)
    marks = found.markers
    assert (marks.start, marks.message, marks.call, marks.return_) == (7, 9, 10, 4)
    assert marks.endoftext == 0
    assert not set(found.encode("<|start|>the")) & set(MARKER_IDS)


def test_the_original_names_of_the_specials_are_gone(tiny_base: Path) -> None:
    vocabulary = json.loads(tokenizer_json(read_gguf(tiny_base)))["model"]["vocab"]
    assert not [name for name in vocabulary if name.startswith("<unused")]
    assert len(vocabulary) == max(vocabulary.values()) + 1


def test_a_base_without_a_vocabulary_is_refused(make_base: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match="tokenizer's tokens"):
        tokenizer_json(read_gguf(make_base(vocabulary=False)))
