"""From a name to a vocabulary that can cut text: packaged, published, a model's, or a file's."""

from pathlib import Path

from ossia.cli.app import App
from ossia.cli.tokens.fetch import obtain
from ossia.cli.tokens.words import W
from ossia.errors import CheckpointError, InputError, ModelNotFoundError
from ossia.hub.names import canonical
from ossia.hub.sources import find_models
from ossia.tokenizer.cutters import PUBLISHED, Cutter, FileCutter, HarmonyCutter, RankedCutter
from ossia.tokenizer.o200k import load_o200k_harmony

HARMONY = "o200k_harmony"
_O200K_BASE, _O200K_BASE_SIZE = "o200k_base", 200_019
KNOWN = (HARMONY, _O200K_BASE, *PUBLISHED)


def open_vocabularies(names: str, app: App, *, fetch: bool) -> list[Cutter]:
    """The vocabularies that `names`, separated by commas, spells; each once.

    Raises InputError for a name that is none, ModelNotFoundError for one that would have to be fetched
    (unless `fetch`), CheckpointError for a file that cannot be read.
    """
    wanted = dict.fromkeys(name.strip() for name in names.split(","))
    return [_open(name, app, fetch=fetch) for name in wanted]


def _open(name: str, app: App, *, fetch: bool) -> Cutter:
    if name == HARMONY:
        return HarmonyCutter(load_o200k_harmony())
    if name == _O200K_BASE:  # the same ranks; its two control tokens never come from text
        return HarmonyCutter(load_o200k_harmony(), name=name, size=_O200K_BASE_SIZE)
    if name in PUBLISHED:
        return RankedCutter(name, obtain(name, app, fetch=fetch))
    if not name:
        raise _unknown(name, app, [])
    path = Path(name).expanduser()
    if path.suffix == ".json" or path.is_dir():
        file = path / "tokenizer.json" if path.is_dir() else path
        return FileCutter(file.parent.name or name, _existing(file, app))
    return _of_model(name, app)


def _of_model(name: str, app: App) -> Cutter:
    models = find_models(app.settings)
    named = [model for model in models if canonical(name) == model.name]
    if not named:
        raise _unknown(name, app, [model.name for model in models])
    files = [model.path / "tokenizer.json" for model in named if model.format == "safetensors"]
    file = next((file for file in files if file.is_file()), None)
    if file is not None:
        return FileCutter(name, file)
    if "gpt-oss" in name:
        return HarmonyCutter(load_o200k_harmony(), name=name)
    raise ModelNotFoundError(app.say(W.NO_TOKENIZER, name=name), value=name, remedy=app.say(W.GIVE_TOKENIZER))


def _unknown(name: str, app: App, models: list[str]) -> InputError:
    return InputError(
        app.say(W.NO_VOCABULARY, name=repr(name)),
        value=name,
        limit=[*KNOWN, *dict.fromkeys(models)],
        remedy=app.say(W.KNOWN, known=", ".join(KNOWN)),
    )


def _existing(file: Path, app: App) -> Path:
    if file.is_file():
        return file
    raise CheckpointError(
        app.say(W.NO_TOKENIZER, name=str(file.parent)), value=str(file), remedy=app.say(W.GIVE_TOKENIZER)
    )
