"""The models of this computer under every name clients use for them; never a path a client chose."""

import time
from collections.abc import Callable
from pathlib import Path

from ossia.errors import InputError, ModelNotFoundError, OssiaError
from ossia.hub.default import choose_default
from ossia.hub.info import config_of
from ossia.hub.names import ModelName, looks_like_path, resolve
from ossia.hub.sources import FoundModel, find_models, locate, require_loadable
from ossia.model.config import ModelConfig
from ossia.server.models.entry import ModelEntry
from ossia.settings import Settings

_FRESH_S = 5.0  # for so long what was found on the disk is believed


class Catalogue:
    """Installed models by name, and the one that is meant where none is named.

    `chosen` may be a folder; it is then served under the folder's name. Raises ModelNotFoundError and
    CheckpointError for a `chosen` that cannot be used.
    """

    def __init__(
        self, settings: Settings, chosen: str | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._read_at = -_FRESH_S
        self._models: dict[str, FoundModel] = {}
        self._configs: dict[Path, ModelConfig | None] = {}  # a GGUF file's takes a while to read
        self._own = locate(choose_default(chosen, settings), settings)
        require_loadable(self._own)
        self.default = shown_name(self._own)

    def models(self) -> dict[str, FoundModel]:
        """The usable models by the name they are shown under, the default one first."""
        if self._clock() - self._read_at >= _FRESH_S:
            found = {self.default: self._own}
            for model in find_models(self._settings):
                if model.loadable and not (model.synthetic and shown_name(model) in found):
                    found.setdefault(shown_name(model), model)
            self._models, self._read_at = found, self._clock()
        return self._models

    def find(self, name: str) -> FoundModel:
        """The model of a name that `resolve` gave; raises ModelNotFoundError where it was removed since."""
        found = self.models().get(name)
        if found is None:
            raise self._unknown(name)
        return found

    def resolve(self, name: str | None) -> str:
        """The shown name that any spelling means; raises ModelNotFoundError."""
        wanted = (name or "").strip()
        if not wanted or wanted in (self.default, str(self._own.path)):
            return self.default
        models = self.models()
        alike = [known for known in models if wanted.lower() in (known.lower(), _short(known))]
        if len(alike) == 1:
            return alike[0]
        if wanted in models:
            return wanted
        target = self._spelled(wanted, list(models))
        if target is None or target.id not in models:
            raise self._unknown(wanted)
        return target.id

    def entries(self) -> list[ModelEntry]:
        return [self.entry(name, found) for name, found in self.models().items()]

    def entry(self, name: str, found: FoundModel) -> ModelEntry:
        """A model as lists show it."""
        if found.path not in self._configs:
            self._configs[found.path] = _config(found)
        config = self._configs[found.path]
        return ModelEntry(
            name,
            _modified(found.path),
            found.size_bytes,
            found.source,
            context_length=None if config is None else config.max_position_embeddings,
            format=found.format,
            config=config,
        )

    def _spelled(self, name: str, installed: list[str]) -> ModelName | None:
        if looks_like_path(name):
            return None
        try:
            target = resolve(name, installed)
        except (InputError, ModelNotFoundError):
            return None
        return None if target.kind == "path" else target

    def _unknown(self, name: str) -> ModelNotFoundError:
        here = list(self.models())
        return ModelNotFoundError(
            f"the model {name!r} is not installed here",
            value=name,
            limit=here,
            remedy=f"Ask for one of: {', '.join(here)}. Another is installed with: ossia pull NAME",
        )


def shown_name(model: FoundModel) -> str:
    """The name clients see: a folder's is its own, not the path to it."""
    return ModelName(model.name, "path").short if model.source == "folder" else model.name


def _config(found: FoundModel) -> ModelConfig | None:
    """None for what cannot be read; loading it says why."""
    try:
        return config_of(found)
    except OssiaError:
        return None


def _short(name: str) -> str:
    return name.rsplit("/", 1)[-1].lower()


def _modified(path: Path) -> int:
    try:
        return int(path.stat().st_mtime)
    except OSError:
        return 0
