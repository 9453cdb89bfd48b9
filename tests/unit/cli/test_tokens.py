"""`ossia tokens`: a text and its pieces, on a screen, in a pipe and as JSON."""

import io
import json
import sys
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from tokenizers import models, pre_tokenizers

from ossia.cli.app import App
from ossia.cli.main import execute
from ossia.cli.tokens import view
from ossia.cli.tokens.comparison import compare
from ossia.cli.tokens.declaration import read_declaration
from ossia.cli.tokens.view import shown
from ossia.settings import Settings
from ossia.tokenizer import load_o200k_harmony
from ossia.tokenizer.checkpoint import byte_of_character
from ossia.tokenizer.cutters import FileCutter, HarmonyCutter

from ..hub.tiny import write_checkpoint  # noqa: TID252  (a test is no package to be imported by name)

Capture = pytest.CaptureFixture[str]


def write_tokenizer(file: Path) -> Path:
    """A tokenizer.json of single bytes, and of ``ll``."""
    alphabet = {b: c for c, b in byte_of_character().items()}
    vocabulary = {alphabet[b]: b for b in range(256)} | {"ll": 256}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, [("l", "l")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(file))
    return file


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_tokenizer(tmp_path / "tokenizer.json")


def feed(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_pieces_stand_side_by_side(app: App, small: Path, capsys: Capture) -> None:
    assert execute(["tokens", "hello 한\n    x", "--compare", f"o200k_harmony,{small}"], app) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].split() == ["vocabulary", "size", "tokens", "bytes/token", "characters/token"]
    assert lines[1].split() == ["o200k_harmony", "201,088", "5", "3.00", "2.60"]
    assert lines[2].split() == [small.parent.name, "257", "14", "1.07", "0.93"]
    assert lines[4].split() == ["text", "bytes", "o200k_harmony", small.parent.name]
    assert [line.split() for line in lines[5:]] == [
        ["hello", "5", "1", "hello", "4", "h·e·ll·o"],
        ["␣한", "4", "1", "␣한", "4", "␣·⟨ed⟩·⟨95⟩·⟨9c⟩"],
        ["↵", "1", "1", "↵", "1", "↵"],
        ["␣␣␣", "3", "1", "␣␣␣", "3", "␣·␣·␣"],
        ["␣x", "2", "1", "␣x", "2", "␣·x"],
    ]


def test_o200k_harmony_is_shown_unless_others_are_named(app: App, capsys: Capture) -> None:
    assert execute(["tokens", "hello"], app) == 0
    assert "o200k_harmony" in capsys.readouterr().out
    assert execute(["tokens", "hello", "--compare", "o200k_base"], app) == 0
    out = capsys.readouterr().out
    assert "o200k_harmony" not in out
    assert "200,019" in out


def test_json_has_every_byte(app: App, small: Path, capsys: Capture) -> None:
    text = "👩‍🚀 <|start|>"
    assert execute(["tokens", text, "--json", "--compare", f"o200k_harmony, {small}"], app) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["text"], said["bytes"], said["characters"]) == (text, 21, 13)
    ours, theirs = said["vocabularies"]
    assert [piece["id"] for piece in ours["pieces"]] == load_o200k_harmony().encode(text)
    for vocabulary in (ours, theirs):
        assert vocabulary["tokens"] == len(vocabulary["pieces"])
        assert bytes.fromhex("".join(piece["bytes"] for piece in vocabulary["pieces"])) == text.encode()
    assert all(piece["text"] is None for piece in theirs["pieces"][:11])


def test_standard_input_is_taken_exactly(app: App, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    feed(b"a \r\n\n", monkeypatch)
    assert execute(["tokens", "-", "--json"], app) == 0
    assert json.loads(capsys.readouterr().out)["text"] == "a \r\n\n"


@pytest.mark.parametrize("argv", [["tokens"], ["tokens", ""], ["tokens", "x", "--languages"]])
def test_what_cannot_be_cut_is_code_2(argv: list[str], app: App, capsys: Capture) -> None:
    assert execute(argv, app) == 2
    assert "remedy:" in capsys.readouterr().err


def test_bytes_that_are_no_text_are_code_2(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    feed(b"abc\xff", monkeypatch)
    assert execute(["tokens", "-"], app) == 2
    assert "0xff" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nonsense", "", "o200k_harmony,,gpt2"])
def test_an_unknown_vocabulary_lists_the_known(name: str, app: App, capsys: Capture) -> None:
    assert execute(["tokens", "x", "--compare", name], app) == 2
    err = capsys.readouterr().err
    assert "cl100k_base" in err
    assert "remedy:" in err


def test_a_model_of_this_computer_goes_by_its_name(app: App, settings: Settings, capsys: Capture) -> None:
    folder = write_checkpoint(settings.data_dir / "models" / "pocket")
    write_tokenizer(folder / "tokenizer.json")
    assert execute(["tokens", "ll", "--compare", "pocket", "--json"], app) == 0
    (vocabulary,) = json.loads(capsys.readouterr().out)["vocabularies"]
    assert (vocabulary["name"], vocabulary["size"], vocabulary["tokens"]) == ("pocket", 257, 1)


def test_a_folder_goes_by_its_path(app: App, small: Path, capsys: Capture) -> None:
    assert execute(["tokens", "ll", "--compare", str(small.parent)], app) == 0
    assert "257" in capsys.readouterr().out
    small.unlink()
    assert execute(["tokens", "ll", "--compare", str(small.parent)], app) == 3
    assert execute(["tokens", "ll", "--compare", str(small)], app) == 3
    assert "tokenizer.json" in capsys.readouterr().err


def test_colour_takes_turns_and_needs_no_sign(app: App, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="256", width=80, legacy_windows=False)
    monkeypatch.setattr(view, "console_for_output", lambda: console)
    view.print_comparison(compare("h한", [FileCutter("small", small)]), app)
    text = out.getvalue()
    assert "·" not in text
    assert all(f"48;5;{shade}m" in text for shade in (152, 110, 180))


def test_a_long_text_ends_with_a_count(app: App, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    feed(b"a b " * 500, monkeypatch)
    assert execute(["tokens", "-"], app) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3 + 1 + 200 + 1
    assert "801 more rows" in out[-1]


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"word", "word"),
        (b" x", "␣x"),
        (b"        ", "␣×8"),
        (b"\r\n\t", "␍↵⇥"),
        (b"\xe2\x9c", "⟨e2 9c⟩"),
        ("\u200d".encode(), "⟨e2 80 8d⟩"),
        ("\u202e".encode(), "⟨e2 80 ae⟩"),
        (b"a\x1b[2J", "a␛[2J"),
        (b"", "⟨⟩"),
    ],
)
def test_a_piece_is_seen_and_never_obeyed(data: bytes, seen: str) -> None:
    assert shown(data) == seen


@settings(max_examples=100, deadline=None)
@given(text=st.text(min_size=1))
def test_segments_are_the_text_in_every_vocabulary(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "tokenizer.json"
    small = FileCutter("small", file if file.is_file() else write_tokenizer(file))
    segments = compare(text, [HarmonyCutter(load_o200k_harmony()), small]).segments()
    assert "".join(segment.text for segment in segments) == text
    for segment in segments:
        assert segment.text
        for column in segment.pieces:
            assert b"".join(piece.data for piece in column) == segment.text.encode()


def test_languages_are_weighed_against_english(app: App, small: Path, capsys: Capture) -> None:
    assert execute(["tokens", "--languages"], app) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 62 + 1
    english = next(line for line in lines if line.startswith("English")).split()
    assert english == ["English", "10,637", "10,649", "2,017", "1.15", "0.190", "0.189", "1.00"]
    korean = next(line for line in lines if line.startswith("Korean")).split()
    assert korean == ["Korean", "4,715", "11,404", "2,743", "2.31", "0.582", "0.241", "1.36"]
    assert " – " in next(line for line in lines if line.startswith("Thai"))


def test_languages_side_by_side(app: App, small: Path, capsys: Capture) -> None:
    assert execute(["tokens", "--languages", "--compare", f"o200k_base,{small}"], app) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["o200k_base", small.parent.name]
    assert lines[1].split()[:4] == ["language", "characters", "bytes", "tokens"]
    assert sum("English" in line for line in lines) == 2


def test_languages_as_json(app: App, capsys: Capture) -> None:
    assert execute(["tokens", "--languages", "--json"], app) == 0
    languages = json.loads(capsys.readouterr().out)["languages"]
    tokens = [row["vocabularies"]["o200k_harmony"]["tokens"] for row in languages]
    assert tokens == sorted(tokens)
    assert {row["code"] for row in languages} >= {"eng", "kor", "arb", "jpn", "hin", "tha", "cmn_hans"}
    for row in languages:
        fertility = row["vocabularies"]["o200k_harmony"]
        assert fertility["tokens"] == pytest.approx(fertility["per_byte"] * row["bytes"])
        assert (fertility["per_word"] is None) == (row["words"] is None)


def test_every_translation_is_whole() -> None:
    translations = read_declaration()
    assert translations[0].code == "eng"
    assert len({t.code for t in translations}) == len(translations) == 62
    for translation in translations:
        assert 60 <= len(translation.text.splitlines()) <= 100, translation.language
        assert translation.words is None or 500 < translation.words < 3000, translation.language


def test_korean_speaks_korean(app: App, capsys: Capture) -> None:
    assert execute(["--lang", "ko", "tokens", "--lang", "ko", "가"], app) == 0
    assert "글자/토큰" in capsys.readouterr().out


def test_the_page_shows_what_is_printed(app: App, capsys: Capture) -> None:
    """The columns of o200k_harmony; the others are recounted where their files are."""
    page = (Path(__file__).parents[3] / "docs" / "tokenizer.md").read_text(encoding="utf-8")
    assert execute(["tokens", "--languages", "--json"], app) == 0
    rows = json.loads(capsys.readouterr().out)["languages"]
    shown_rows = page.split("× English\n")[-1].splitlines()
    for row, line in zip(rows, shown_rows, strict=False):
        ours = row["vocabularies"]["o200k_harmony"]
        per_word = "–" if ours["per_word"] is None else f"{ours['per_word']:.2f}"
        counts = [f"{row['characters']:,}", f"{row['bytes']:,}", f"{ours['tokens']:,}"]
        expected = [*row["language"].split(), *counts, per_word, f"{ours['times_english']:.2f}"]
        assert line.split()[: len(expected)] == expected
    for text in ("안녕하세요, 반갑습니다", "def f(x):\n        return x + 1234567"):
        assert execute(["tokens", text], app) == 0
        assert capsys.readouterr().out.splitlines()[1].rstrip() in page
