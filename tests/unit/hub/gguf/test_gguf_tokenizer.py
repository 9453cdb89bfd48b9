"""The tokenizer of a GGUF file cuts as the tokenizer.json it was made from, or is o200k_harmony itself."""

import gguf
import pytest

from ossia.errors import CheckpointError
from ossia.hub.gguf.tokenizer import gguf_tokenizer
from ossia.model.gguf.container import open_gguf
from ossia.tokenizer import load_checkpoint_tokenizer, load_o200k_harmony
from ossia.tokenizer.checkpoint import byte_of_character

TEXTS = ["the the and 1234 them", "여러 언어", "a\n\n b\t<|start|>", "naïve — café 😀"]
MARKERS = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|call|>", "<|return|>",
           "<|endoftext|>"]  # fmt: skip


def vocabulary_file(path, tokens, types=None, merges=(), model="gpt2", pre="gpt-4o"):
    writer = gguf.GGUFWriter(path, "gpt-oss")
    writer.add_tokenizer_model(model)
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    if types:
        writer.add_token_types(types)
    if merges:
        writer.add_token_merges(list(merges))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return open_gguf(path)


def byte_level(vocabulary):
    letter = {b: c for c, b in byte_of_character().items()}
    return ["".join(letter[b] for b in vocabulary.decode_bytes([i])) for i in range(199_998)]


@pytest.fixture(scope="module")
def published():
    """gpt-oss's tokens as a GGUF file lists them."""
    packaged = load_o200k_harmony()
    names = {i: name for name, i in packaged.special_tokens.items()}
    return [*byte_level(packaged), *(names.get(i, f"<|reserved_{i}|>") for i in range(199_998, 201_088))]


def test_published_tokens_are_the_packaged_vocabulary(published, tmp_path):
    assert gguf_tokenizer(vocabulary_file(tmp_path / "v.gguf", published), "m") is load_o200k_harmony()


@pytest.mark.parametrize("change", [(0, "x"), (200_006, "<|begin|>"), (499 * 7, "thing")])
def test_other_tokens_of_the_same_count_are_not(published, tmp_path, change):
    tokens = list(published)
    tokens[change[0]] = change[1]
    with pytest.raises(CheckpointError):  # no merges, or no marker: but not taken for the published one
        gguf_tokenizer(vocabulary_file(tmp_path / "v.gguf", tokens, merges=["no such"]), "m")


def test_a_vocabulary_of_its_own_cuts_as_its_tokenizer_json(tiny_model):
    ours = gguf_tokenizer(open_gguf(tiny_model / "tiny.gguf"), "tiny")
    theirs = load_checkpoint_tokenizer(tiny_model / "hf")
    assert ours.markers == theirs.markers
    for text in TEXTS:
        assert ours.encode(text) == theirs.encode(text), text
        assert ours.decode(ours.encode(text)) == text
    assert ours.vocab_size == 288


@pytest.mark.parametrize("pre", ["gpt-4o", "gpt-2", "default", None])
def test_every_known_way_of_cutting(tmp_path, pre):
    letters = list(byte_of_character())
    tokens = [*letters, "Ġt", "Ġth", *MARKERS]
    types = [1] * (len(tokens) - len(MARKERS)) + [3] * len(MARKERS)
    merges = ["Ġ t", "Ġt h"]
    ours = gguf_tokenizer(vocabulary_file(tmp_path / "v.gguf", tokens, types, merges, pre=pre), "m")
    assert [ours.decode([i]) for i in ours.encode("a the th")] == ["a", " th", "e", " th"]
    assert ours.markers.start == len(letters) + 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "llama"}, "brings no byte-level vocabulary, but 'llama'"),
        ({"pre": "tekken"}, "cuts text the way called 'tekken'"),
        ({"types": [1, 1]}, "do not belong together"),
        ({"merges": ["a b c"]}, "do not belong together"),
        ({}, "the tokenizer lacks <|start|>"),
    ],
)
def test_what_cannot_carry_harmony_is_refused(tmp_path, changes, said):
    made = vocabulary_file(tmp_path / "v.gguf", list(byte_of_character()), **changes)
    with pytest.raises(CheckpointError) as caught:
        gguf_tokenizer(made, "m")
    assert said in caught.value.message
    assert caught.value.remedy
