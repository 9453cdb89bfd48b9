"""A checkpoint's experts, left on the disk and read as tokens ask for them."""

import math
from dataclasses import dataclass

from ossia.errors import CheckpointError
from ossia.kernels.experts import ExpertCache, ExpertCounts, counts, make_cache
from ossia.model.checkpoint import Checkpoint
from ossia.model.loading import failed

_PARTS = ("gate_up_proj_blocks", "gate_up_proj_scales", "down_proj_blocks", "down_proj_scales")


@dataclass(frozen=True, slots=True)
class StreamedExperts:
    """The experts of every layer: `cache` for the kernels, and where they come from for messages."""

    cache: ExpertCache
    checkpoint: Checkpoint

    @property
    def counts(self) -> ExpertCounts:
        """What was asked for and read until now."""
        return counts(self.cache)

    def failure(self) -> CheckpointError | None:
        """Why an expert could not be read, once; None where nothing failed."""
        found = self.cache.take_failure()
        return found and failed(self.checkpoint, _name(found[0], found[1]), found[2])


def stream_experts(checkpoint: Checkpoint, slots: int) -> StreamedExperts:
    """Open the files of MXFP4 experts for a cache of `slots` experts; nothing is read yet.

    Raises CheckpointError where a file cannot be opened.
    """
    config = checkpoint.config
    layers, experts = range(config.num_hidden_layers), config.num_local_experts
    places = [[checkpoint.position(_name(layer, part)) for part in range(len(_PARTS))] for layer in layers]
    files = sorted({file for layer in places for file, _ in layer})
    table = [[(files.index(file), offset) for file, offset in layer] for layer in places]
    sizes = [math.prod(checkpoint.shape(_name(0, part))[1:]) for part in range(len(_PARTS))]
    paths = [checkpoint.folder / file for file in files]
    try:
        cache = make_cache(paths, table, experts=experts, slots=slots, part_bytes=tuple(sizes))
    except OSError as error:
        raise CheckpointError(
            f"the experts in {checkpoint.folder} cannot be opened: {error.strerror}",
            value=error.filename, limit="files that can be read",
            remedy="Check the files' permissions, or how many files this program may open.",
        ) from error  # fmt: skip
    return StreamedExperts(cache, checkpoint)


def _name(layer: int, part: int) -> str:
    return f"model.layers.{layer}.mlp.experts.{_PARTS[part]}"
