"""What a snapshot on disk belongs to: a model's weights, the arithmetic, and the tokens before it.

Whoever asks for other weights, numerics or tokens computes other keys and finds nothing. Keys are BLAKE2b
digests; the tokens themselves are not written.
"""

import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ossia.model.config import ModelConfig
from ossia.model.kv_cache import BLOCK
from ossia.settings import KVKind, Numerics

KV_VERSION = 2
"""Raise it with any change that alters a bit of K or V (kernels, RoPE, quantisation, the forward pass, the
layout of a block); tests/invariants/test_snapshots.py fails where that is forgotten."""

_KEY_BYTES = 16
_SAMPLES, _SAMPLE_BYTES = 256, 4096
_HEAD_BYTES = 1 << 20


def model_identity(files: Iterable[Path]) -> str:
    """Tell weights apart without reading them whole: hex digest of each file's name, size, time of change,
    first MiB and 256 samples of 4 KiB, the last bytes among them.

    Name, size and header are not enough, two fine-tunings of one model share them all. Links are followed.
    Raises OSError where a file cannot be read.
    """
    digest = blake2b(digest_size=_KEY_BYTES)
    for path in sorted(file.resolve() for file in files):
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            digest.update(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
            digest.update(file.read(_HEAD_BYTES))
            rest = max(0, state.st_size - _HEAD_BYTES - _SAMPLE_BYTES)
            for i in range(_SAMPLES):
                file.seek(_HEAD_BYTES + rest * i // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def fingerprint(identity: str, config: ModelConfig, numerics: Numerics, kind: KVKind, isa: str) -> str:
    """Everything that K and V depend on beside the tokens, as a hex digest: the name of a folder."""
    parts = (KV_VERSION, BLOCK, identity, config, numerics, kind, isa)
    return blake2b(repr(parts).encode(), digest_size=_KEY_BYTES).hexdigest()


def block_keys(token_ids: NDArray[np.int32]) -> list[bytes]:
    """Keys of the prefixes of 0, 1, 2, … complete blocks of `token_ids`, each made from the one before."""
    keys = [b""]
    for start in range(0, token_ids.size - BLOCK + 1, BLOCK):
        keys.append(_extended(keys[-1], token_ids[start : start + BLOCK]))
    return keys


def prefix_key(keys: list[bytes], token_ids: NDArray[np.int32], position: int) -> bytes:
    """The key of the first `position` tokens; `keys` are `block_keys(token_ids)`."""
    whole = position // BLOCK
    return _extended(keys[whole], token_ids[whole * BLOCK : position])


def _extended(key: bytes, token_ids: NDArray[np.int32]) -> bytes:
    return blake2b(key + token_ids.tobytes(), digest_size=_KEY_BYTES).digest()
