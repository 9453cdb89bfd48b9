"""What the claims about o200k's vocabulary rest on, counted for any vocabulary.

    python tests/unit/tokenizer/article_claims.py FOLDER > tests/unit/tokenizer/article_claims.json

makes the numbers that the tests compare with, of cl100k_base and r50k_base (GPT-2's); FOLDER holds their
.tiktoken files, as `ossia tokens --fetch` keeps them.
"""

import base64
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ossia.cli.tokens.declaration import read_declaration
from ossia.tokenizer.cutters import RankedCutter

Encode = Callable[[str], list[int]]

CJK_BLOCK = range(0x4E00, 0xA000)  # CJK Unified Ideographs
SYLLABLES = range(0xAC00, 0xD7A4)  # Hangul
EMOJI_RANGES = (
    (0x231A, 0x231B), (0x23E9, 0x23EC), (0x23F0, 0x23F0), (0x23F3, 0x23F3), (0x25FD, 0x25FE),
    (0x2614, 0x2615), (0x2648, 0x2653), (0x267F, 0x267F), (0x2693, 0x2693), (0x26A1, 0x26A1),
    (0x26AA, 0x26AB), (0x26BD, 0x26BE), (0x26C4, 0x26C5), (0x26CE, 0x26CE), (0x26D4, 0x26D4),
    (0x26EA, 0x26EA), (0x26F2, 0x26F3), (0x26F5, 0x26F5), (0x26FA, 0x26FA), (0x26FD, 0x26FD),
    (0x2705, 0x2705), (0x270A, 0x270B), (0x2728, 0x2728), (0x274C, 0x274C), (0x274E, 0x274E),
    (0x2753, 0x2755), (0x2757, 0x2757), (0x2795, 0x2797), (0x27B0, 0x27B0), (0x27BF, 0x27BF),
    (0x2B1B, 0x2B1C), (0x2B50, 0x2B50), (0x2B55, 0x2B55), (0x1F004, 0x1F004), (0x1F0CF, 0x1F0CF),
    (0x1F18E, 0x1F18E), (0x1F191, 0x1F19A), (0x1F1E6, 0x1F1FF), (0x1F201, 0x1F201), (0x1F21A, 0x1F21A),
    (0x1F22F, 0x1F22F), (0x1F232, 0x1F236), (0x1F238, 0x1F23A), (0x1F250, 0x1F251), (0x1F300, 0x1F320),
    (0x1F32D, 0x1F335), (0x1F337, 0x1F37C), (0x1F37E, 0x1F393), (0x1F3A0, 0x1F3CA), (0x1F3CF, 0x1F3D3),
    (0x1F3E0, 0x1F3F0), (0x1F3F4, 0x1F3F4), (0x1F3F8, 0x1F43E), (0x1F440, 0x1F440), (0x1F442, 0x1F4FC),
    (0x1F4FF, 0x1F53D), (0x1F54B, 0x1F54E), (0x1F550, 0x1F567), (0x1F57A, 0x1F57A), (0x1F595, 0x1F596),
    (0x1F5A4, 0x1F5A4), (0x1F5FB, 0x1F64F), (0x1F680, 0x1F6C5), (0x1F6CC, 0x1F6CC), (0x1F6D0, 0x1F6D2),
    (0x1F6D5, 0x1F6D7), (0x1F6DC, 0x1F6DF), (0x1F6EB, 0x1F6EC), (0x1F6F4, 0x1F6FC), (0x1F7E0, 0x1F7EB),
    (0x1F7F0, 0x1F7F0), (0x1F90C, 0x1F93A), (0x1F93C, 0x1F945), (0x1F947, 0x1F9FF), (0x1FA70, 0x1FA7C),
    (0x1FA80, 0x1FA89), (0x1FA8F, 0x1FAC6), (0x1FACE, 0x1FADC), (0x1FADF, 0x1FAE9), (0x1FAF0, 0x1FAF8),
)  # fmt: skip
"""Code points with the property Emoji_Presentation, Unicode 16."""
_GROUPS = {
    "arabic": re.compile(" ?[\u0621-\u064a]{2,}"),
    "chinese": re.compile(" ?[\u4e00-\u9fff]{2,}"),
    "hangul": re.compile(" ?[\uac00-\ud7a3]{2,}"),
}
LANGUAGES = ("eng", "arb", "kor", "cmn_hans", "cmn_hant", "jpn", "hin", "rus", "tam", "hye")


def measure(encode: Encode) -> dict[str, Any]:
    """Every number, as JSON has it."""
    texts = {t.code: t.text for t in read_declaration()}
    spaces = [len(encode(" " * n)) for n in range(1, 201)]
    digits = ["7", "42", "365", "1234", "65536", "1234567", "3.14159", "1000000000"]
    return {
        "emoji": _lengths(encode, _emoji()),
        "emoji after a space": _lengths(encode, (f" {c}" for c in _emoji())),
        "cjk block": _lengths(encode, map(chr, CJK_BLOCK)),
        "hangul syllables": _lengths(encode, map(chr, SYLLABLES)),
        "chinese as written": _lengths(encode, _chinese(texts["cmn_hans"] + texts["cmn_hant"])),
        "declaration": {code: len(encode(texts[code])) for code in LANGUAGES},
        "spaces, every run in one token up to": next(i for i, n in enumerate(spaces) if n > 1),
        "spaces, longest run in one token": max(i for i, n in enumerate(spaces, 1) if n == 1),
        "tabs in one token": max(n for n in range(1, 101) if len(encode("\t" * n)) == 1),
        "indented lines": {str(n): len(encode("\n" + " " * n + "return x")) for n in (4, 8, 16, 32, 64)},
        "numbers below 1000 in one token": sum(len(encode(str(n))) == 1 for n in range(1000)),
        "with leading zeros": sum(len(encode(f"{n:03}")) == 1 for n in range(1000)),
        "numbers": {number: len(encode(number)) for number in digits},
    }


def measure_tokens(tokens: Iterable[bytes]) -> dict[str, int]:
    """How many of a vocabulary's tokens are two or more letters of one script (a space may lead)."""
    texts = [text for token in tokens if (text := token.decode(errors="ignore")).encode() == token]
    return {script: sum(bool(pattern.fullmatch(t)) for t in texts) for script, pattern in _GROUPS.items()}


def _emoji() -> Iterable[str]:
    return [chr(code) for first, last in EMOJI_RANGES for code in range(first, last + 1)]


def _chinese(text: str) -> list[str]:
    """The different Chinese characters of a text."""
    return sorted({c for c in text if ord(c) in CJK_BLOCK})


def _lengths(encode: Encode, characters: Iterable[str]) -> dict[str, int]:
    """How many of `characters` take 1, 2, 3 … tokens."""
    counts = Counter(len(encode(c)) for c in characters)
    return {str(tokens): counts[tokens] for tokens in sorted(counts)}


def _counted(name: str, folder: Path) -> dict[str, Any]:
    file = folder / f"{name}.tiktoken"
    tokens = [base64.b64decode(line.split()[0]) for line in file.read_bytes().splitlines()]
    return measure(RankedCutter(name, file).encode) | {"groups in one token": measure_tokens(tokens)}


if __name__ == "__main__":
    print(json.dumps({n: _counted(n, Path(sys.argv[1])) for n in ("cl100k_base", "r50k_base")}, indent=1))
