"""A model folder's tensors by Hugging Face name, checked against the config and mapped.

Accepts safetensors with an index, a single file, or shards without an index; in the Hugging Face layout or
original/'s. Opening proves that nothing is missing, nothing is unused, and every shape, type and byte
range is right, before anything is loaded.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ossia.errors import CheckpointError
from ossia.model.checkpoint.layouts import Layout, Place, name_table
from ossia.model.checkpoint.safetensors import DTYPES, TensorFile
from ossia.model.config import ModelConfig, load_config

_INDEX = "model.safetensors.index.json"
_SHOWN = 5


class Checkpoint:
    """Tensors by Hugging Face name, whatever the layout on disk: mapped by `array`, read by `read_into`."""

    def __init__(
        self, folder: Path, config: ModelConfig, files: dict[str, TensorFile], layout: Layout
    ) -> None:
        self.folder = folder
        self.config = config
        self.layout: Layout = layout
        self._files = files  # by stored name
        self._places = name_table(config, layout)

    @property
    def names(self) -> tuple[str, ...]:
        """Our names of all tensors."""
        return tuple(self._places)

    @property
    def size_bytes(self) -> int:
        """Bytes of all tensors."""
        infos = (file.infos[stored] for stored, file in self._files.items())
        return sum(info.end - info.begin for info in infos)

    def array(self, name: str) -> NDArray[Any]:
        """Read-only view of the file: uint8, uint16 (bf16's bits), float16 or float32."""
        place = self._places[name]
        whole = self._files[place.stored].array(place.stored)
        return whole[place.first : place.first + place.shape[0]]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape `array` has."""
        return self._places[name].shape

    def dtype(self, name: str) -> np.dtype[Any]:
        """The type `array` has."""
        file, stored, _ = self._find(name)
        return DTYPES[file.infos[stored].dtype]

    def position(self, name: str) -> tuple[str, int]:
        """File and byte at which a tensor begins: a disk is read fastest in this order."""
        file, stored, offset = self._find(name)
        return file.path.name, file.infos[stored].begin + offset

    def read_into(self, name: str, out: NDArray[Any], first: int = 0) -> None:
        """Fill contiguous `out` (n, ...) with rows `first` to `first + n`, read without mapping or the GIL.

        `out` has `dtype(name)` and a tensor's row. Raises CheckpointError where the disk fails.
        """
        file, stored, offset = self._find(name)
        row = out[:1].nbytes
        assert out.dtype == self.dtype(name), f"{name} is {self.dtype(name)}, read into {out.dtype}"
        assert first + len(out) <= self.shape(name)[0], f"{name} has {self.shape(name)[0]} rows"
        file.read_into(stored, offset + first * row, out)

    def source(self, name: str) -> tuple[int, int]:
        """An open descriptor and the byte at which a tensor begins; valid while this object lives."""
        file, stored, offset = self._find(name)
        return file.fd, file.infos[stored].begin + offset

    def will_need(self, name: str, offset: int, size: int) -> None:
        """Let the system start reading `size` bytes of a tensor from the disk."""
        file, stored, begin = self._find(name)
        file.will_need(stored, begin + offset, size)

    def _find(self, name: str) -> tuple[TensorFile, str, int]:
        """The file, the stored tensor, and the byte in it at which ours begins."""
        place = self._places[name]
        file = self._files[place.stored]
        row = math.prod(place.stored_shape[1:]) * DTYPES[file.infos[place.stored].dtype].itemsize
        return file, place.stored, place.first * row


def open_checkpoint(folder: Path, config: ModelConfig | None = None) -> Checkpoint:
    """Map and check every tensor in `folder`; `config` is read from there if not given.

    Raises CheckpointError (files or tensors missing, unused, truncated, of a wrong shape or type) and
    ConfigError.
    """
    config = config or load_config(folder)
    files: dict[str, TensorFile] = {}
    for path in _shards(folder):
        file = TensorFile(path)
        for name in file.infos:
            if name in files:
                raise _mismatch(folder, f"{name} is in {files[name].path.name} and in {path.name}", name)
            files[name] = file
    layout: Layout = "original" if "embedding.weight" in files else "hf"
    _check_names(folder, files.keys(), {p.stored for p in name_table(config, layout).values()}, config)
    for place in name_table(config, layout).values():
        _check_tensor(files[place.stored], place)
    return Checkpoint(folder, config, files, layout)


def as_float32(stored: NDArray[Any]) -> NDArray[np.float32]:
    """A stored float tensor (bf16's bits as uint16, float16, float32) as aligned, contiguous float32."""
    if stored.dtype == np.uint16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return np.require(stored, np.float32, ["C", "A"])


def _shards(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if index.is_file():
        return [folder / name for name in _indexed(index)]
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise CheckpointError(
            f"{folder} holds no safetensors file", value=str(folder), limit="a model folder",
            remedy="Give the folder that holds the model's safetensors files, or pull the model.",
        )  # fmt: skip
    return paths


def _indexed(index: Path) -> list[str]:
    try:
        raw: Any = json.loads(index.read_bytes())
        shards = sorted(set(cast(dict[str, str], raw["weight_map"]).values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise CheckpointError(
            f"{index.name} is not a safetensors index: {e!r}", value=index.name, limit="a weight_map",
            remedy="Fetch the model again.",
        ) from e  # fmt: skip
    foreign = [name for name in shards if Path(name).name != name]
    if foreign:
        raise CheckpointError(
            f"{index.name} names {foreign[0]}, a file outside the folder", value=foreign[0],
            limit="plain file names", remedy="Do not use this checkpoint.",
        )  # fmt: skip
    return shards


def _check_names(folder: Path, found: Iterable[str], needed: set[str], config: ModelConfig) -> None:
    names = set(found)
    missing, unused = sorted(needed - names), sorted(names - needed)
    if not missing and not unused:
        return
    parts = [f"{len(x)} tensors {what}: {_listed(x)}" for what, x in
             (("are missing", missing), ("are not part of the model", unused)) if x]  # fmt: skip
    kind = "MXFP4" if config.quantization == "mxfp4" else "unquantised"
    experts = f"{config.num_hidden_layers} layers, {kind} experts"
    raise CheckpointError(
        f"{folder} does not hold the model its config.json describes ({experts}): " + "; ".join(parts),
        value=(tuple(missing), tuple(unused)),
        limit="exactly the tensors config.json describes",
        remedy="Fetch the model again, with the config.json that belongs to it.",
    )


def _check_tensor(file: TensorFile, place: Place) -> None:
    info = file.infos[place.stored]
    if info.shape != place.stored_shape:
        raise _mismatch(
            file.path,
            f"{info.name} has shape {list(info.shape)}, not {list(place.stored_shape)}",
            info.shape,
            place.stored_shape,
        )
    if info.dtype not in place.dtypes:
        raise _mismatch(
            file.path,
            f"{info.name} is of type {info.dtype}, not {' or '.join(place.dtypes)}",
            info.dtype,
            place.dtypes,
        )


def _mismatch(where: Path, why: str, value: object, limit: object = None) -> CheckpointError:
    return CheckpointError(
        f"{where.name}: {why}",
        value=value,
        limit=limit,
        remedy="Fetch the model again, with the config.json that belongs to it.",
    )


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
