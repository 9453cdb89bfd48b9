"""`ossia.load`: from a name to a model that can be talked to.

Never opens a connection: what is not on this computer is an error that names the command to get it.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from ossia.agent.model import Model
from ossia.backends.native import NativeBackend
from ossia.engine import EngineOptions, build_engine
from ossia.engine.snapshots import SnapshotOptions, model_identity
from ossia.errors import CheckpointError, ContextLengthError, SettingsError
from ossia.harmony.grammar import GrammarCompiler
from ossia.hub.card import card_of
from ossia.hub.default import choose_default
from ossia.hub.gguf.tokenizer import gguf_tokenizer
from ossia.hub.progress import Progress, silent
from ossia.hub.sources import FoundModel, locate, require_loadable
from ossia.kernels.cpu import configure
from ossia.model.checkpoint import AnyCheckpoint, GgufCheckpoint, open_checkpoint
from ossia.model.config import O200K_VOCAB, ModelConfig
from ossia.model.gguf.container import parts_of
from ossia.model.memory.available import available_memory
from ossia.model.memory.fit import divide, needed, require_memory
from ossia.model.plan import memory_plan
from ossia.model.weights import Weights, load_weights
from ossia.settings import KVKind, Numerics, Settings, load_settings, parse_size
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony

_LEAST_CONTEXT = 2048  # tokens: the shortest conversation worth loading a model for
_LIMITED_CONTEXT = 8192  # tokens of conversation within a limit of memory, where none is asked for


def load(
    name: str | None = None,
    *,
    numerics: Numerics | None = None,
    threads: int | None = None,
    isa: str | None = None,
    max_context: int | None = None,
    max_sequences: int = 8,
    kv_cache: KVKind | None = None,
    max_memory: int | str | None = None,
    prefix_cache: Path | None = None,
    speculation: bool | None = None,
    screened_head: bool | None = None,
    progress: Progress = silent,
    settings: Settings | None = None,
) -> Model:
    """Load a model of this computer by any of its names, or the default one, ready to talk to.

    `numerics` ("q8", "bf16", "f32"), `threads` and `isa` default to the settings, `max_context` (tokens of
    prompt and answer) to the model's limit or what memory allows; up to `max_sequences` are answered at once.
    `kv_cache`: what K and V are kept as, "int8" in half the room of "bf16" (None: as OSSIA_KV_CACHE says,
    else "bf16", under f32 "f32"). `max_memory`: bytes, or as "8GiB", that the process may take (None: as
    OSSIA_MAX_MEMORY says, else no limit); experts beyond it stream from the disk (docs/memory.md).
    `prefix_cache`: a folder for computed prompts, whose next start is then nearly free (None: as the setting
    OSSIA_PREFIX_CACHE says, else nothing is written). `speculation`: whether what an answer repeats is
    guessed and verified several tokens at a time, to the same answer (None: as OSSIA_SPECULATION says, else
    it is). `screened_head`: whether tokens are chosen by half of an int8 LM head where that is faster, to the
    same tokens (docs/performance.md says how surely; None: as OSSIA_SCREENED_HEAD says, else they are).
    Never uses a network.

    Raises ModelNotFoundError (not here: the remedy is `ossia pull`), CheckpointError, ConfigError,
    MemoryLimitError and ContextLengthError before anything large is read, SettingsError, IsaUnavailableError.
    """
    settings = settings or load_settings()
    chosen = _numerics(numerics or settings.numerics)
    found = locate(choose_default(name, settings), settings)
    require_loadable(found)
    checkpoint = open_checkpoint(found.path)
    kind = _kv_kind(kv_cache) or settings.kv_cache
    room = _room(found, checkpoint, chosen, kind, max_context, _limit(max_memory, settings))
    options = EngineOptions(
        max_sequences=max_sequences,
        max_context=room.context,
        kv_bytes=room.kv_bytes,
        kv_cache=kind,
        snapshots=_snapshots(found.path, prefix_cache, settings),
        speculation=settings.speculation if speculation is None else speculation,
    )
    configure(isa or settings.isa, settings.threads if threads is None else threads)
    tokenizer = _tokenizer(found, checkpoint)
    grammar = GrammarCompiler(tokenizer)  # prepares itself while the weights are read
    screened = settings.screened_head if screened_head is None else screened_head
    weights = _weights(found, checkpoint, chosen, room, screened, progress)
    backend = NativeBackend(build_engine(checkpoint.config, weights, chosen, options))
    return Model(backend, tokenizer, card_of(found, checkpoint.config, backend.context_length), grammar)


@dataclass(frozen=True, slots=True)
class _Room:
    """What memory there is for a model: its context in tokens and the bytes of its KV cache (None: as the
    engine finds), experts in memory (None: all), and whether what was read has to leave the page cache."""

    context: int | None
    kv_bytes: int | None
    slots: int | None
    drop: bool


def _room(
    found: FoundModel,
    checkpoint: AnyCheckpoint,
    numerics: Numerics,
    kind: KVKind | None,
    context: int | None,
    limit: int | None,
) -> _Room:
    """Raises ContextLengthError for an impossible context, MemoryLimitError where the model does not fit."""
    config = checkpoint.config
    if limit is not None and context is None:
        context = min(_LIMITED_CONTEXT, config.max_position_embeddings)
    plan = memory_plan(config, numerics, _context(config, context), kv_cache=kind)
    if limit is None:
        require_memory(found.name, plan, config, mapped=found.mapped)
        read = checkpoint.size_bytes - plan.experts - plan.embedding
        return _Room(context, None, None, needed(plan) + read > available_memory())
    division = divide(found.name, limit, plan, config, mapped=found.mapped)
    return _Room(context, plan.kv_full + plan.kv_window, None if division.whole else division.slots, True)


def _weights(
    found: FoundModel,
    checkpoint: AnyCheckpoint,
    numerics: Numerics,
    room: _Room,
    screened_head: bool,
    progress: Progress,
) -> Weights:
    return load_weights(
        checkpoint,
        checkpoint.config,
        numerics,
        lambda done, total: progress(f"loading {found.name}", done, total),
        screened_head=screened_head,
        slots=room.slots,
        drop=room.drop,
    )


def _limit(max_memory: int | str | None, settings: Settings) -> int | None:
    """The limit asked for, in bytes; raises SettingsError for a text that is no size."""
    if max_memory is None:
        return settings.max_memory_bytes
    size = parse_size(max_memory) if isinstance(max_memory, str) else max_memory
    if size is None or size < 1:
        raise SettingsError(
            f"max_memory is {max_memory!r}, which is not a size",
            value=max_memory,
            limit="a size",
            remedy="Give bytes, or a text such as 8GiB.",
        )
    return size


def _context(config: ModelConfig, max_context: int | None) -> int:
    """The context that memory must suffice for; raises ContextLengthError for one over the model's limit."""
    limit = config.max_position_embeddings
    if max_context is not None and max_context > limit:
        raise ContextLengthError(
            f"a context of {max_context:,} tokens was asked for, the model's limit is {limit:,}",
            value=max_context,
            limit=limit,
            remedy=f"Choose a context up to {limit:,} tokens.",
        )
    return max_context or min(_LEAST_CONTEXT, limit)


def _numerics(name: str) -> Numerics:
    if name not in get_args(Numerics):
        raise SettingsError(
            f"unknown numerics {name!r}",
            value=name,
            limit=get_args(Numerics),
            remedy=f"Choose one of {', '.join(get_args(Numerics))}.",
        )
    return cast(Numerics, name)


def _kv_kind(name: str | None) -> KVKind | None:
    if name is not None and name not in get_args(KVKind):
        raise SettingsError(
            f"unknown type of KV cache {name!r}",
            value=name,
            limit=get_args(KVKind),
            remedy=f"Choose one of {', '.join(get_args(KVKind))}.",
        )
    return cast(KVKind | None, name)


def _snapshots(model: Path, folder: Path | None, settings: Settings) -> SnapshotOptions | None:
    """Where this model's computed prompts are kept, and within how many bytes; None for nowhere."""
    size = settings.prefix_cache_bytes
    if folder is None and size is None:
        return None
    files = list(model.glob("*.safetensors")) if model.is_dir() else parts_of(model)
    options = SnapshotOptions(folder or prefix_folder(settings), model_identity(files))
    return options if size is None else replace(options, size_bytes=size)


def prefix_folder(settings: Settings) -> Path:
    """Where computed prompts are kept, if they are."""
    return settings.prefix_cache_dir or settings.cache_dir / "prefixes"


def _tokenizer(model: FoundModel, checkpoint: AnyCheckpoint) -> Tokenizer:
    """The checkpoint's own, or the packaged o200k_harmony where it brings none and has room for it."""
    if isinstance(checkpoint, GgufCheckpoint):
        return gguf_tokenizer(checkpoint.gguf, model.name)
    config = checkpoint.config
    if not (model.path / "tokenizer.json").exists() and config.vocab_size == O200K_VOCAB:
        return load_o200k_harmony()
    tokenizer = load_checkpoint_tokenizer(model.path)
    if tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            f"{model.name}: the tokenizer has {tokenizer.vocab_size} tokens, the weights {config.vocab_size}",
            value=tokenizer.vocab_size,
            limit=config.vocab_size,
            remedy="Fetch the model again, with the tokenizer.json that belongs to it.",
        )
    return tokenizer
