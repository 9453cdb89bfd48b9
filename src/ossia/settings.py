"""The one place that reads the environment.

Everything Ossia lets a user set from outside is a field of `Settings`; a variable that begins with
``OSSIA_`` and is not listed here raises, so that a typing mistake is not silently ignored.
"""

import locale
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import environ as process_environ
from os import sep
from pathlib import Path
from typing import Literal, cast, get_args

from platformdirs import user_cache_path, user_config_path, user_data_path

from ossia.errors import SettingsError

Numerics = Literal["q8", "bf16", "f32"]
KVKind = Literal["f32", "bf16", "int8"]
Lang = Literal["en", "ko"]

_PREFIX_CACHE_BYTES = 2 << 30  # where only "on" or a folder is said
_ISAS = ("scalar", "avx2", "avxvnni", "avx512", "neon", "neon_i8mm")

_VARIABLES = {
    "OSSIA_MODEL": "default model",
    "OSSIA_HOME": "one folder for everything Ossia keeps (models, caches, history)",
    "OSSIA_ISA": "kernels to use: scalar, avx2, avxvnni, avx512, neon, neon_i8mm",
    "OSSIA_NUMERICS": "arithmetic: q8, bf16, f32",
    "OSSIA_KV_CACHE": "type of the KV cache: bf16, int8, f32",
    "OSSIA_THREADS": "threads the kernels use",
    "OSSIA_LANG": "language of messages: en, ko",
    "OSSIA_HISTORY": "off: the chat keeps no input history",
    "OSSIA_SCREENED_HEAD": "off: every token is chosen by all logits, even where some decide",
    "OSSIA_SPECULATION": "off: what an answer repeats is not guessed ahead",
    "OSSIA_PREFIX_CACHE": "computed prompts kept on the disk: off, on (2 GiB), a size (4GiB), or a folder",
    "OSSIA_MAX_MEMORY": "memory a model may take, such as 8GiB; what does not fit streams from the disk",
    "OSSIA_API_KEY": "a key that `ossia serve` asks for",
    "OSSIA_VLLM_API_KEY": "the key of the vLLM servers that `ossia serve --backend vllm` asks",
    "OSSIA_POCKET_BASE": "the pocket base as a local file (.whl or .gguf), for machines without a registry",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says, read once.

    `data_dir` holds models (kept until `ossia rm`), `cache_dir` what can be made again, `config_dir`
    the remembered model and the input history. `prefix_cache_bytes`: what computed prompts may take of the
    disk, None where they are not kept there; `prefix_cache_dir`: where, None for a folder in `cache_dir`.
    `kv_cache`: None for what goes with the numerics.
    `max_memory_bytes`: what a model may take of memory, its experts streaming from the disk where that is not
    enough; None for all it needs. `api_key`: one the server asks for; `vllm_api_key`: one it shows others.
    """

    model: str | None
    data_dir: Path
    cache_dir: Path
    config_dir: Path
    isa: str | None
    numerics: Numerics
    kv_cache: KVKind | None
    threads: int | None
    lang: Lang
    history: bool
    speculation: bool
    screened_head: bool
    prefix_cache_bytes: int | None
    prefix_cache_dir: Path | None
    max_memory_bytes: int | None
    pocket_base: Path | None
    hf_home: Path
    ollama_models: Path
    lmstudio_home: Path
    offline: bool
    api_key: str | None = field(default=None, repr=False)
    vllm_api_key: str | None = field(default=None, repr=False)


def load_settings(env: Mapping[str, str] = process_environ) -> Settings:
    """Read `Settings` from `env`; raises SettingsError for unknown or impossible OSSIA_ variables."""
    for name in env:
        if name.startswith("OSSIA_") and name not in _VARIABLES:
            raise SettingsError(
                f"unknown setting {name}",
                value=name,
                limit=sorted(_VARIABLES),
                remedy=f"Settings are: {', '.join(sorted(_VARIABLES))}.",
            )
    home = Path.home()
    prefix_cache_bytes, prefix_cache_dir = read_prefix_cache(env.get("OSSIA_PREFIX_CACHE", ""))
    root = Path(env["OSSIA_HOME"]).expanduser() if env.get("OSSIA_HOME") else None
    return Settings(
        model=env.get("OSSIA_MODEL") or None,
        data_dir=root / "data" if root else user_data_path("ossia"),
        cache_dir=root / "cache" if root else user_cache_path("ossia"),
        config_dir=root / "config" if root else user_config_path("ossia"),
        isa=_choice(env, "OSSIA_ISA", _ISAS),
        numerics=cast(Numerics, _choice(env, "OSSIA_NUMERICS", get_args(Numerics)) or "q8"),
        kv_cache=cast(KVKind | None, _choice(env, "OSSIA_KV_CACHE", get_args(KVKind))),
        threads=_positive(env, "OSSIA_THREADS"),
        lang=cast(Lang, _choice(env, "OSSIA_LANG", get_args(Lang)) or _locale_lang(env)),
        history=_choice(env, "OSSIA_HISTORY", ("on", "off")) != "off",
        screened_head=_choice(env, "OSSIA_SCREENED_HEAD", ("on", "off")) != "off",
        speculation=_choice(env, "OSSIA_SPECULATION", ("on", "off")) != "off",
        prefix_cache_bytes=prefix_cache_bytes,
        prefix_cache_dir=prefix_cache_dir,
        max_memory_bytes=_limit(env, "OSSIA_MAX_MEMORY"),
        pocket_base=Path(env["OSSIA_POCKET_BASE"]) if env.get("OSSIA_POCKET_BASE") else None,
        hf_home=Path(env.get("HF_HOME") or home / ".cache" / "huggingface"),
        ollama_models=Path(env.get("OLLAMA_MODELS") or home / ".ollama" / "models"),
        lmstudio_home=home / ".lmstudio",
        offline=env.get("HF_HUB_OFFLINE", "") not in ("", "0"),
        api_key=env.get("OSSIA_API_KEY") or None,
        vllm_api_key=env.get("OSSIA_VLLM_API_KEY") or None,
    )


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with `changes`, for a program that is started from it."""
    return {**process_environ, **changes}


def _choice(env: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    value = env.get(name, "")
    if value and value not in allowed:
        raise SettingsError(
            f"{name}={value!r} is not one of {', '.join(allowed)}",
            value=value,
            limit=allowed,
            remedy=f"Set {name} to one of {', '.join(allowed)}, or unset it.",
        )
    return value or None


def _positive(env: Mapping[str, str], name: str) -> int | None:
    value = env.get(name, "")
    if not value:
        return None
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 1024:
        raise SettingsError(
            f"{name}={value!r} is not a number from 1 to 1024",
            value=value,
            limit=(1, 1024),
            remedy=f"Set {name} to the number of threads, or unset it.",
        )
    return int(value)


def read_prefix_cache(value: str, name: str = "OSSIA_PREFIX_CACHE") -> tuple[int | None, Path | None]:
    """What computed prompts may take of the disk, in bytes, and the folder they go to: off, on, a size, or
    a folder (anything with a slash). `name` is the setting's; raises SettingsError for any other value."""
    if value in ("", "off"):
        return None, None
    if value == "on":
        return _PREFIX_CACHE_BYTES, None
    if "/" in value or sep in value:
        return _PREFIX_CACHE_BYTES, Path(value).expanduser()
    if (size := parse_size(value)) is not None:
        return size, None
    raise SettingsError(
        f"{name}={value!r} is neither off, on, a size nor a folder",
        value=value,
        limit=("off", "on", "a size", "a folder"),
        remedy=f"Set {name} to off, on, a size such as 500MB or 4GiB, or a folder such as ./prefixes.",
    )


def _limit(env: Mapping[str, str], name: str) -> int | None:
    value = env.get(name, "")
    if not value:
        return None
    size = parse_size(value)
    if size is None:
        raise SettingsError(
            f"{name}={value!r} is not a size",
            value=value,
            limit="a size",
            remedy=f"Set {name} to a size such as 8GiB, or unset it.",
        )
    return size


def parse_size(text: str) -> int | None:
    """Bytes of a size such as 500MB, 8GiB or 7.5 GiB; None where it is none."""
    size = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?) ?([KMGT])(i?)B", text, re.ASCII)
    if size is None or not float(size[1]):
        return None
    return int(float(size[1]) * (1024 if size[3] else 1000) ** (" KMGT".index(size[2])))


def _locale_lang(env: Mapping[str, str]) -> Lang:
    name = env.get("LC_ALL") or env.get("LC_MESSAGES") or env.get("LANG") or locale.getlocale()[0]
    return "ko" if (name or "").lower().startswith("ko") else "en"
