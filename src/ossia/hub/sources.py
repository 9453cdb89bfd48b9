"""Which models are on this computer: Ossia's own folder, and those other programs already fetched.

Looks only; never writes and never uses a network. Lists gpt-oss-architecture models in the Hugging Face
cache (``models--openai--gpt-oss-20b/snapshots/<commit>``), Ollama's store (``manifests/…`` naming
``blobs/sha256-…``) and LM Studio's folders, as safetensors or GGUF.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ossia.errors import CheckpointError, ModelNotFoundError
from ossia.hub.cache import hf_hub_dir, models_dir, size_of
from ossia.hub.names import ModelName, canonical, resolve
from ossia.model.gguf.container import is_gpt_oss, parts_of
from ossia.settings import Settings

Source = Literal["ossia", "huggingface", "lmstudio", "ollama", "folder"]
Format = Literal["safetensors", "gguf"]

SYNTHETIC_KEY = "ossia_synthetic"
"""A key of config.json that marks random weights made for tests and measurements."""

_ORDER: tuple[Source, ...] = ("ossia", "huggingface", "lmstudio", "ollama", "folder")
_MODEL_TYPE = "gpt_oss"
_OLLAMA_MODEL_LAYER = "application/vnd.ollama.image.model"


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model on this computer. `path` is its folder or GGUF file; `missing` says why it cannot be used."""

    name: str
    source: Source
    path: Path
    format: Format
    size_bytes: int
    missing: str = ""
    synthetic: bool = False

    @property
    def complete(self) -> bool:
        return not self.missing

    @property
    def loadable(self) -> bool:
        """Whether all its files are there. (That a GGUF's tensors are of a type we read, opening it says.)"""
        return self.complete

    @property
    def mapped(self) -> bool:
        """Whether experts stay in the file's pages: not from GGUF, whose blocks are in another order."""
        return self.format == "safetensors"


def find_models(settings: Settings) -> list[FoundModel]:
    """Every gpt-oss-architecture model found, Ossia's own first, then by name."""
    found = [*_ossia(settings), *_huggingface(settings), *_lmstudio(settings), *_ollama(settings)]
    return sorted(found, key=lambda model: (_ORDER.index(model.source), model.name, not model.complete))


def locate(name: str, settings: Settings) -> FoundModel:
    """The copy of the model called `name` to use: a loadable one where there are several.

    The answer may be incomplete (`require_loadable` refuses that). Raises ModelNotFoundError when
    the name is unknown, or known and not on this computer.
    """
    models = find_models(settings)
    target = resolve(name, [model.name for model in models])
    if target.kind == "path":
        return inspect_path(Path(target.id))
    copies = [model for model in models if model.name == target.id]
    if not copies:
        raise _not_here(target, models)
    # GGUF takes longer to load, and memory of our own.
    return min(copies, key=lambda model: (not model.loadable, not model.mapped, _ORDER.index(model.source)))


def require_loadable(model: FoundModel) -> None:
    """Raise CheckpointError, with the remedy, for an incomplete model."""
    if model.missing:
        again = "Complete the folder." if model.source == "folder" else f"Run: ossia pull {model.name}"
        raise CheckpointError(
            f"{model.name} is incomplete at {model.path}: {model.missing}",
            value=model.missing,
            limit="every part" if model.format == "gguf" else "config.json, safetensors, tokenizer",
            remedy=again,
        )


def inspect_path(path: Path) -> FoundModel:
    """The model in one folder (HF files, or `original/` inside it) or GGUF file, whatever its state."""
    if path.is_file():
        return _gguf_model(str(path), "folder", path)
    return _folder_model(str(path), "folder", path)


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json; {} when it is missing or no JSON object (the loader says what is wrong)."""
    value = _read_json(folder / "config.json")
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _not_here(target: ModelName, models: list[FoundModel]) -> ModelNotFoundError:
    names = list(dict.fromkeys(model.name for model in models))
    have = f" Installed: {', '.join(names)}." if names else " No model is installed yet."
    return ModelNotFoundError(
        f"{target} is not on this computer.{have}",
        value=target.id,
        limit=names,
        remedy=f"Get it with: ossia pull {target}",
    )


def _ossia(settings: Settings) -> Iterator[FoundModel]:
    for folder in _folders(models_dir(settings)):
        yield _folder_model(canonical(folder.name), "ossia", folder)


def _huggingface(settings: Settings) -> Iterator[FoundModel]:
    for repo in _folders(hf_hub_dir(settings), "models--*--*"):
        name = canonical("/".join(repo.name.split("--")[1:]))
        snapshot = _snapshot(repo)
        if snapshot is None:
            if "gpt-oss" in name.lower():
                yield FoundModel(
                    name, "huggingface", repo, "safetensors", size_of(repo / "blobs"), "no snapshot"
                )
        elif _is_gpt_oss(snapshot, name):
            model = _folder_model(name, "huggingface", snapshot)
            # Blobs hold partial downloads too; a cache without symbolic links keeps files in the snapshot.
            yield _with_size(model, max(model.size_bytes, size_of(repo / "blobs")))


def _snapshot(repo: Path) -> Path | None:
    """The snapshot `main` points to, else the newest one."""
    try:
        named = repo / "snapshots" / (repo / "refs" / "main").read_text().strip()
        if named.is_dir():
            return named
    except OSError:
        pass
    return max(_folders(repo / "snapshots"), key=lambda path: path.stat().st_mtime, default=None)


def _lmstudio(settings: Settings) -> Iterator[FoundModel]:
    for folder in _folders(settings.lmstudio_home / "models", "*/*"):
        name = f"{folder.parent.name}/{folder.name}"
        if _is_gpt_oss(folder, name):
            yield _folder_model(canonical(name), "lmstudio", folder)


def _ollama(settings: Settings) -> Iterator[FoundModel]:
    root = settings.ollama_models / "manifests"
    for manifest in sorted(root.rglob("*")) if root.is_dir() else ():
        layer = _ollama_layer(manifest) if manifest.is_file() else None
        if layer is None:
            continue
        digest, size = layer
        blob = settings.ollama_models / "blobs" / digest.replace(":", "-")
        *owner, model, tag = manifest.relative_to(root).parts
        name = "/".join((*(part for part in owner if part not in ("registry.ollama.ai", "library")), model))
        if blob.is_file() and is_gpt_oss(blob):
            missing = (
                ""
                if blob.stat().st_size == size
                else f"{blob.name} has {blob.stat().st_size} of {size} bytes"
            )
            yield FoundModel(canonical(f"{name}:{tag}"), "ollama", blob, "gguf", blob.stat().st_size, missing)
        elif not blob.is_file() and "gpt-oss" in name:
            partial = size_of(blob.with_name(f"{blob.name}-partial"))
            yield FoundModel(canonical(f"{name}:{tag}"), "ollama", blob, "gguf", partial, f"no {blob.name}")


def _ollama_layer(manifest: Path) -> tuple[str, int] | None:
    """(digest, bytes) of the weights that one of Ollama's manifests names."""
    try:
        layers = cast(Any, _read_json(manifest))["layers"]
        model = next(layer for layer in layers if layer["mediaType"] == _OLLAMA_MODEL_LAYER)
        return str(model["digest"]), int(model["size"])
    except (TypeError, KeyError, ValueError, AttributeError, StopIteration):
        return None


def _is_gpt_oss(folder: Path, name: str) -> bool:
    """By config.json, else by the GGUF files' own metadata, else (nothing there yet) by the name."""
    for place in (folder, folder / "original"):
        if config := read_config(place):
            return config.get("model_type", _MODEL_TYPE if "swiglu_limit" in config else None) == _MODEL_TYPE
    if ggufs := sorted(folder.glob("*.gguf")):
        return any(is_gpt_oss(path) for path in ggufs)
    return "gpt-oss" in name.lower()


def _folder_model(name: str, source: Source, folder: Path) -> FoundModel:
    ggufs = sorted(folder.glob("*.gguf"))
    if ggufs and not (folder / "config.json").exists():
        return _gguf_model(name, source, next((path for path in ggufs if is_gpt_oss(path)), ggufs[0]))
    place = folder
    if not any(folder.glob("*.safetensors")) and any((folder / "original").glob("*.safetensors")):
        place = folder / "original"
    synthetic = bool(read_config(place).get(SYNTHETIC_KEY))
    return FoundModel(name, source, place, "safetensors", size_of(folder), _missing(place), synthetic)


def _gguf_model(name: str, source: Source, path: Path) -> FoundModel:
    """The model of a GGUF file and the parts it was split into."""
    parts = parts_of(path)
    absent = [part.name for part in parts if not part.is_file()]
    missing = f"{len(absent)} of {len(parts)} parts missing ({absent[0]})" if absent else ""
    size = sum(size_of(part) for part in parts if part.is_file())
    return FoundModel(name, source, parts[0], "gguf", size, missing)


def _missing(folder: Path) -> str:
    """What a safetensors folder lacks before its tensors can be looked at; "" when nothing."""
    if not (folder / "config.json").is_file():
        return "no config.json"
    if (folder / "model.safetensors.index.json").is_file():
        shards = _shards(_read_json(folder / "model.safetensors.index.json"))
        absent = [shard for shard in shards if not (folder / shard).is_file()]
        return f"{len(absent)} of {len(shards)} shards missing ({absent[0]})" if absent else ""
    if not any(path.is_file() for path in folder.glob("*.safetensors")):
        return "no safetensors file"
    return ""


def _shards(index: object) -> list[str]:
    """File names in a safetensors index; [] for one that is malformed (the loader says what is wrong)."""
    try:
        return sorted({str(name) for name in cast(Any, index)["weight_map"].values()})
    except (TypeError, KeyError, AttributeError):
        return []


def _with_size(model: FoundModel, size_bytes: int) -> FoundModel:
    return FoundModel(
        model.name, model.source, model.path, model.format, size_bytes, model.missing, model.synthetic
    )


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _folders(root: Path, pattern: str = "*") -> list[Path]:
    """Folders under `root` that match, hidden ones (temporaries) left out; [] when `root` cannot be read."""
    try:
        return sorted(path for path in root.glob(pattern) if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def installed_names(settings: Settings) -> list[str]:
    """Names of every model found, loadable ones first; for messages and completion."""
    models = sorted(find_models(settings), key=lambda model: not model.loadable)
    return list(dict.fromkeys(model.name for model in models))
