"""A checkpoint's tokenizer.json: what is read, what is refused, and that its text stays text too."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ossia.errors import CheckpointError
from ossia.tokenizer import CheckpointTokenizer, load_checkpoint_tokenizer, load_o200k_harmony
from ossia.tokenizer.checkpoint import byte_of_character

TINY = Path(__file__).parents[2] / "golden" / "tokenizer_tiny.json"
SPEC: dict[str, Any] = json.loads(TINY.read_text())
TOK = load_checkpoint_tokenizer(TINY)


def spec_with(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(SPEC) | changes


def test_markers_come_from_the_added_tokens() -> None:
    assert TOK.markers.start == 1
    assert TOK.markers.return_ == 7
    assert TOK.markers.endoftext == 0
    assert TOK.special_tokens["<|other|>"] == 8
    assert TOK.vocab_size == 272


def test_folder_and_file_load_alike(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(TINY.read_text())
    tok = load_checkpoint_tokenizer(tmp_path)
    assert tok.name == tmp_path.name
    assert tok.encode("the and") == TOK.encode("the and")


def test_merges_and_digits() -> None:
    def names(text: str) -> list[str]:
        return [TOK.decode([i]) for i in TOK.encode(text)]

    assert names("the the and 12") == ["the", " the", " and", " ", "1", "2"]


@settings(derandomize=True, database=None, max_examples=300)
@given(st.text(st.characters(codec="utf-8")))
def test_text_round_trips(text: str) -> None:
    ids = TOK.encode(text)
    assert TOK.decode(ids) == text
    stream = TOK.stream()
    assert "".join(map(stream.feed, ids)) + stream.flush() == text


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("template", ["{}", " {}", "a{}b", "{0}{0}", "\n{}\n"])
def test_text_never_becomes_a_control_token(special: bool, normalized: bool, template: str) -> None:
    spec = spec_with()
    for token in spec["added_tokens"]:
        # <|other|> stays special: one that is not and is no marker is text on purpose.
        token |= {"special": special or token["content"] == "<|other|>", "normalized": normalized}
    tok = CheckpointTokenizer("x", spec)
    for name in tok.special_tokens:
        text = template.format(name)
        assert set(tok.special_tokens.values()).isdisjoint(tok.encode(text))
        assert tok.decode(tok.encode(text)) == text


def test_added_tokens_that_are_text_stay_whole() -> None:
    spec = spec_with()
    spec["added_tokens"].append(spec["added_tokens"][8] | {"id": 272, "content": "한국", "special": False})
    tok = CheckpointTokenizer("x", spec)
    assert 272 in tok.encode("a한국b")
    assert tok.decode([272]) == "한국"
    assert "한국" not in tok.special_tokens


def test_nothing_is_added_cut_or_padded() -> None:
    template = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|start|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|start|>": {"id": "<|start|>", "ids": [1], "tokens": ["<|start|>"]}},
    }
    truncation = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    tok = CheckpointTokenizer("x", spec_with(post_processor=template, truncation=truncation))
    assert tok.encode("abcde") == TOK.encode("abcde")


def test_lone_surrogates_become_the_replacement_character() -> None:
    assert TOK.encode("a\ud800b") == TOK.encode("a\ufffdb")


def test_characters_the_vocabulary_has_no_bytes_for_become_the_replacement_character() -> None:
    spec = spec_with()
    for byte, character in ((0x04, "\u0104"), (0xF1, "\u00f1")):
        assert byte_of_character()[character] == byte
        del spec["model"]["vocab"][character]
    tok = CheckpointTokenizer("x", spec)
    assert tok.encode("a\x04b") == TOK.encode("a\ufffdb")
    assert tok.decode(tok.encode("a\U00040000b\x05")) == "a\ufffdb\x05"


def test_ids_outside_the_vocabulary_decode_to_the_replacement_character() -> None:
    assert TOK.decode([-1, 272, 10**30]) == "\ufffd" * 3


def test_vocabulary_that_would_make_control_tokens_of_text_is_refused() -> None:
    spec = spec_with()
    spec["model"]["ignore_merges"] = True  # a word that is a token is taken whole
    spec["pre_tokenizer"] = SPEC["pre_tokenizer"]["pretokenizers"][1] | {"use_regex": False}
    with pytest.raises(CheckpointError, match="into a control token"):
        CheckpointTokenizer("x", spec)


@pytest.mark.parametrize("name", ["<|start|>", "<|return|>", "<|endoftext|>"])
def test_missing_marker_is_refused(name: str) -> None:
    spec = spec_with()
    spec["added_tokens"] = [token for token in spec["added_tokens"] if token["content"] != name]
    with pytest.raises(CheckpointError, match="lacks") as error:
        CheckpointTokenizer("x", spec)
    assert name in error.value.message
    assert error.value.limit
    assert error.value.remedy


def test_tokens_that_are_not_byte_level_are_refused() -> None:
    with pytest.raises(CheckpointError, match="byte-level"):
        CheckpointTokenizer(
            "x", spec_with(decoder={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"})
        )
    spec = spec_with()
    spec["model"]["vocab"]["▁"] = 272
    with pytest.raises(CheckpointError, match="not byte-level"):
        CheckpointTokenizer("x", spec)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        b'{"model": 1}',
        b'{"model": {}, "added_tokens": [{"id": 1}]}',
        b'{"model": {}, "added_tokens": [1]}',
        b'{"model": {}, "added_tokens": {"a": 1}}',
        json.dumps(SPEC | {"model": {"type": "what"}}).encode(),
        TINY.read_bytes()[:-100],
    ],
)
def test_malformed_files_are_typed_errors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(CheckpointError):
        load_checkpoint_tokenizer(tmp_path)


def test_missing_file_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no tokenizer\.json"):
        load_checkpoint_tokenizer(tmp_path)


def o200k_spec() -> dict[str, Any]:
    tok = load_o200k_harmony()
    character = {b: c for c, b in byte_of_character().items()}
    vocabulary = {"".join(character[b] for b in tok.decode_bytes([i])): i for i in range(199_998)}
    form = SPEC["added_tokens"][0]
    added = [form | {"id": i, "content": name} for name, i in tok.special_tokens.items()]
    return spec_with(added_tokens=added, model={"type": "BPE", "vocab": vocabulary, "merges": []})


def test_o200k_harmony_is_recognised(tmp_path: Path) -> None:
    spec = o200k_spec()
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    assert load_checkpoint_tokenizer(tmp_path) is load_o200k_harmony()
    a, b = list(spec["model"]["vocab"])[5000:5002]
    vocabulary = spec["model"]["vocab"]
    vocabulary[a], vocabulary[b] = vocabulary[b], vocabulary[a]
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    assert load_checkpoint_tokenizer(tmp_path) is not load_o200k_harmony()
