"""The packaged vocabulary is the published one, and damage to it does not go unnoticed."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from ossia.tokenizer import vocabulary


def test_packaged_file_is_the_published_vocabulary() -> None:
    vocabulary.verify()


def test_packaged_file_is_small() -> None:
    assert vocabulary.PACKAGED.stat().st_size <= 2 * 2**20


def test_pack_writes_the_packaged_file_from_the_original(tmp_path: Path) -> None:
    source, packed = tmp_path / "o200k_base.tiktoken", tmp_path / "packed.gz"
    source.write_bytes(vocabulary.original(vocabulary.read_pieces()))
    vocabulary.pack(source, packed)
    assert gzip.decompress(packed.read_bytes()) == gzip.decompress(vocabulary.PACKAGED.read_bytes())


def test_pack_refuses_another_file(tmp_path: Path) -> None:
    source = tmp_path / "other.tiktoken"
    source.write_bytes(b"YQ== 0\n")
    with pytest.raises(ValueError, match="sha256"):
        vocabulary.pack(source, tmp_path / "packed.gz")
    assert not (tmp_path / "packed.gz").exists()


def test_cut_file_is_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(vocabulary.PACKAGED.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="cannot be read"):
        vocabulary.read_pieces(cut)


@pytest.mark.parametrize("content", [b"", b"\1" * 1000, b"\1" * 199_998 + b"a" * 199_997])
def test_wrong_sizes_are_refused(tmp_path: Path, content: bytes) -> None:
    wrong = tmp_path / "wrong.gz"
    wrong.write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match="lengths"):
        vocabulary.read_pieces(wrong)


def test_one_changed_byte_fails_verification(tmp_path: Path) -> None:
    data = bytearray(gzip.decompress(vocabulary.PACKAGED.read_bytes()))
    data[-1] ^= 1
    changed = tmp_path / "changed.gz"
    changed.write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(ValueError, match="unpacks to sha256"):
        vocabulary.verify(changed)


def test_runs_by_path_without_the_package(tmp_path: Path) -> None:
    script = Path(vocabulary.__file__)
    done = subprocess.run([sys.executable, "-I", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert vocabulary.ORIGINAL_SHA256 in done.stdout
    assert subprocess.run([sys.executable, "-I", script, "what"], capture_output=True).returncode == 2
    missing = [sys.executable, "-I", script, "pack", str(tmp_path / "none")]
    assert subprocess.run(missing, capture_output=True).returncode == 1
