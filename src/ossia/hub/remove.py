"""Taking a model away again, and saying how many bytes that freed.

Ossia deletes what it made; a model in the Hugging Face cache is shared with other programs and goes only
when that is confirmed; what Ollama or LM Studio keep is theirs to remove.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from ossia.errors import InputError
from ossia.hub.cache import hf_hub_dir, locked, models_dir, pocket_base_dir
from ossia.hub.names import POCKET
from ossia.hub.sources import FoundModel, locate
from ossia.settings import Settings, load_settings

_REMEDIES = {
    "ollama": "It is Ollama's: remove it with `ollama rm`.",
    "lmstudio": "It is LM Studio's: remove it there.",
    "folder": "It is your own folder: remove it yourself if you mean to.",
}


@dataclass(frozen=True, slots=True)
class Removed:
    """What was deleted: the model, the folders, and the bytes they took."""

    name: str
    paths: tuple[Path, ...]
    size_bytes: int


def remove(name: str, *, shared: bool = False, settings: Settings | None = None) -> Removed:
    """Delete the model called `name`: Ossia's own at once, the Hugging Face cache's only with `shared`.

    Raises ModelNotFoundError when it is not here, InputError (nothing deleted) when it is another program's
    or shared and not confirmed.
    """
    settings = settings or load_settings()
    model = locate(name, settings)
    paths = _paths(model, settings)
    if model.source == "huggingface" and not shared:
        raise InputError(
            f"{model.name} is in the Hugging Face cache, which other programs use too: {paths[0]}",
            value=model.name,
            limit="Ossia's own models",
            remedy="To delete it there, confirm it: ossia rm --shared " + model.name,
        )
    if model.source in _REMEDIES:
        raise InputError(
            f"{model.name} was not put there by Ossia: {model.path}",
            value=model.name,
            limit="Ossia's own models and the Hugging Face cache",
            remedy=_REMEDIES[model.source],
        )
    with locked(settings, model.name):
        size_bytes = sum(_on_disk(path) for path in paths)
        for path in paths:
            _delete(path)
    return Removed(model.name, tuple(paths), size_bytes)


def _paths(model: FoundModel, settings: Settings) -> list[Path]:
    """The whole folders a model takes up: all its snapshots, and for pocket the base it was made from."""
    root = hf_hub_dir(settings) if model.source == "huggingface" else models_dir(settings)
    if not model.path.is_relative_to(root):
        return [model.path]
    folder = root / model.path.relative_to(root).parts[0]
    base = pocket_base_dir(settings)
    return [folder, base] if model.name == POCKET and base.is_dir() else [folder]


def _on_disk(path: Path) -> int:
    """Bytes that deleting `path` frees: a link counts nothing, its target is counted where it lies."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())


def _delete(path: Path) -> None:
    """Move the folder aside first, so that nobody ever finds a half-deleted model under its name."""
    aside = Path(mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    path.rename(aside / "removed")
    shutil.rmtree(aside)
