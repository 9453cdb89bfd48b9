"""The packaged o200k_base vocabulary: how it is stored, read, verified and made.

Standard library only, and nothing from the rest of the package, so that a build can run it by path:

    python src/ossia/tokenizer/vocabulary.py            verify the packaged file; exit code 1 if it is wrong
    python src/ossia/tokenizer/vocabulary.py pack FILE  make the packaged file from o200k_base.tiktoken

``data/o200k_base.gz`` is a gzip of 199,998 lengths (one byte each) and then the tokens' bytes, in the
order of their ranks. It loads in a third of the time of the original's base64 lines and is half the
size; the original can be written from it to the bit, which is how it is verified.
"""

import base64
import gzip
import hashlib
import sys
import zlib
from itertools import accumulate, pairwise
from pathlib import Path

TOKENS = 199_998
ORIGINAL_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
PACKAGED = Path(__file__).parent / "data" / "o200k_base.gz"


def read_pieces(file: Path = PACKAGED) -> list[bytes]:
    """Return the bytes of every token by rank; raises ValueError if the file is not whole.

    The guard at load is cheap (gzip's checksum and the sizes); `verify` is the thorough one.
    """
    try:
        data = gzip.decompress(file.read_bytes())
    except (OSError, EOFError, zlib.error) as cause:
        raise ValueError(f"{file} cannot be read: {cause}") from cause
    ends = list(accumulate(data[:TOKENS], initial=TOKENS))
    if len(data) < TOKENS or ends[-1] != len(data):
        raise ValueError(f"{file} holds {len(data)} bytes, not the {ends[-1]} its lengths add up to")
    return [data[start:end] for start, end in pairwise(ends)]


def original(pieces: list[bytes]) -> bytes:
    """Return the vocabulary in its published form: base64, a space, the rank, a line each."""
    return b"".join(b"%b %d\n" % (base64.b64encode(piece), rank) for rank, piece in enumerate(pieces))


def verify(file: Path = PACKAGED) -> None:
    """Raise ValueError unless `file` unpacks to exactly the published o200k_base."""
    digest = hashlib.sha256(original(read_pieces(file))).hexdigest()
    if digest != ORIGINAL_SHA256:
        raise ValueError(f"{file} unpacks to sha256 {digest}, not {ORIGINAL_SHA256}")


def pack(source: Path, file: Path = PACKAGED) -> None:
    """Write `file` from the published o200k_base.tiktoken; raises ValueError for any other file."""
    data = source.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != ORIGINAL_SHA256:
        raise ValueError(f"{source} has sha256 {digest}, not {ORIGINAL_SHA256}")
    pieces = [base64.b64decode(line.split()[0]) for line in data.splitlines()]
    file.write_bytes(gzip.compress(bytes(map(len, pieces)) + b"".join(pieces), 9, mtime=0))
    verify(file)


def _main(arguments: list[str]) -> int:
    try:
        match arguments:
            case []:
                verify()
            case ["pack", source]:
                pack(Path(source))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{PACKAGED.name}: {PACKAGED.stat().st_size} bytes, unpacks to sha256 {ORIGINAL_SHA256}")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
