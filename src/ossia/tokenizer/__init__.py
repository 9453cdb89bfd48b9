"""Text to token ids and back: o200k_harmony from the package, or a checkpoint's own vocabulary."""

from ossia.tokenizer.base import Markers, StreamDecoder, Tokenizer
from ossia.tokenizer.checkpoint import CheckpointTokenizer, load_checkpoint_tokenizer
from ossia.tokenizer.o200k import O200kHarmony, load_o200k_harmony

__all__ = [
    "CheckpointTokenizer",
    "Markers",
    "O200kHarmony",
    "StreamDecoder",
    "Tokenizer",
    "load_checkpoint_tokenizer",
    "load_o200k_harmony",
]
