"""What a model is called: many spellings, one name.

``gpt-oss:20b`` (Ollama), ``gpt-oss-20b`` (LM Studio) and ``openai/gpt-oss-20b`` (Hugging Face) are one
model. This file knows spellings only; what is on the disk is `sources`' business.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from ossia.errors import InputError, ModelNotFoundError

Kind = Literal["pocket", "repo", "installed", "path"]

POCKET = "pocket"
KNOWN = (
    POCKET,
    "openai/gpt-oss-20b",
    "openai/gpt-oss-120b",
    "openai/gpt-oss-safeguard-20b",
    "openai/gpt-oss-safeguard-120b",
)
"""Models Ossia can name without looking anywhere."""

_PREFIXES = (
    "hf://",
    "https://huggingface.co/",
    "https://hf.co/",
    "huggingface.co/",
    "hf.co/",
    "ollama.com/library/",
)
_POCKET_SPELLINGS = frozenset(("pocket", "ossia/pocket", "ossia-pocket", "pocket:latest"))
_GPT_OSS = re.compile(
    r"(?:openai/|library/)?gpt-?oss(?P<guard>-safeguard)?(?:[:\-](?P<size>20b|120b|latest))?", re.IGNORECASE
)
_REPACKED = re.compile(
    r"[\w.\-]+/(?P<bare>gpt-oss(?:-safeguard)?-(?:20b|120b))(?:-mxfp4)?-gguf", re.IGNORECASE
)
_REPO = re.compile(r"[A-Za-z0-9][\w.\-]{0,95}/[A-Za-z0-9][\w.\-]{0,95}")


@dataclass(frozen=True, slots=True)
class ModelName:
    """One model: `id` is the name to show and to compare.

    kind "pocket"; "repo" (`id` is a Hugging Face ``owner/name``); "installed" (a name that only a folder on
    this computer has); "path" (`id` is the absolute path of a folder or a GGUF file).
    """

    id: str
    kind: Kind

    @property
    def short(self) -> str:
        """The name without its owner or folder: ``gpt-oss-20b``, ``pocket``."""
        return self.id.rstrip("/").rsplit("/", 1)[-1]

    def __str__(self) -> str:
        return self.id


def resolve(name: str, installed: Iterable[str] = ()) -> ModelName:
    """The one model that `name` spells; `installed` are names found on this computer.

    Does not look whether the model is here. Raises InputError for an empty name, ModelNotFoundError (with
    near matches, what is installed and the remedy) for one that is neither known, installed, a path nor
    ``owner/name``.
    """
    text = name.strip()
    if not text:
        raise InputError("the model's name is empty", value=name, remedy="Give a name, for example pocket.")
    here = tuple(dict.fromkeys(installed))
    if looks_like_path(text):
        return _resolve_path(text, here)
    text = _without_prefix(text)
    if (known := canonical(text)) in KNOWN:
        return ModelName(known, "pocket" if known == POCKET else "repo")
    if by_case := [found for found in here if found.lower() == text.lower()]:
        return ModelName(by_case[0], "repo" if _REPO.fullmatch(by_case[0]) else "installed")
    if Path(text).is_dir():
        return ModelName(str(Path(text).resolve()), "path")
    if _REPO.fullmatch(text):
        return ModelName(text, "repo")
    raise _unknown(name, here)


def canonical(text: str) -> str:
    """Ossia's name for a model that a source calls `text`; `text` itself where there is no other.

    >>> canonical("gpt-oss:20b"), canonical("lmstudio-community/gpt-oss-20b-GGUF")
    ('openai/gpt-oss-20b', 'openai/gpt-oss-20b')
    """
    if text.lower() in _POCKET_SPELLINGS:
        return POCKET
    if match := _GPT_OSS.fullmatch(text):
        size = (match["size"] or "latest").lower()
        guard = (match["guard"] or "").lower()
        return f"openai/gpt-oss{guard}-{'20b' if size == 'latest' else size}"
    if match := _REPACKED.fullmatch(text):
        return f"openai/{match['bare'].lower()}"
    return text


def looks_like_path(text: str) -> bool:
    """Whether `text` can only be meant as a path: it starts like one, or ends in .gguf."""
    return (
        text.startswith(("/", "./", "../", "~", ".\\", "..\\")) or Path(text).is_absolute() or _is_gguf(text)
    )


def _is_gguf(text: str) -> bool:
    return text.lower().endswith(".gguf")


def _resolve_path(text: str, installed: tuple[str, ...]) -> ModelName:
    path = Path(text).expanduser()
    if path.is_dir() or (_is_gguf(text) and path.is_file()):
        return ModelName(str(path.resolve()), "path")
    raise ModelNotFoundError(
        f"there is no model folder at {text}",
        value=text,
        limit=list(installed),
        remedy=f"Give a folder that holds config.json and its safetensors. {_installed_text(installed)}",
    )


def _without_prefix(text: str) -> str:
    for prefix in _PREFIXES:
        if text.lower().startswith(prefix):
            return text[len(prefix) :].rstrip("/")
    return text


def _unknown(name: str, installed: tuple[str, ...]) -> ModelNotFoundError:
    near = _near(name, installed)
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    return ModelNotFoundError(
        f"no model is called {name!r}.{guess}",
        value=name,
        limit=list(dict.fromkeys((*installed, *KNOWN))),
        remedy=f"{_installed_text(installed)} Get one with: ossia pull {near[0] if near else POCKET}",
    )


def _near(name: str, installed: tuple[str, ...]) -> list[str]:
    """Up to three names that look like `name`, compared without owner, case and punctuation."""
    plain = {_plain(known): known for known in (*KNOWN, *installed)}
    return [plain[match] for match in get_close_matches(_plain(name), list(plain), n=3, cutoff=0.6)]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.rsplit("/", 1)[-1].lower())


def _installed_text(installed: tuple[str, ...]) -> str:
    return f"Installed: {', '.join(installed)}." if installed else "No model is installed yet."
