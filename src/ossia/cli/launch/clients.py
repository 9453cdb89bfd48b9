"""The programs `ossia launch` knows: what each reads its configuration from, and what is written there.

Every file lies in a folder of Ossia's own; a client's own folder is never written to. Knows no server: where
one is and what it serves comes in `Served`.
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

PROVIDER = "ossia"
_KEY_VARIABLE = "LOCAL_MODEL_API_KEY"  # not OSSIA_…: an `ossia` started inside the client would refuse it
_NO_KEY = "none"  # for clients that insist on a key
_MOST_OUTPUT = 32_768  # tokens of one answer, for clients that keep room for it
_PATIENCE_MS = 30 * 60 * 1000  # a long prompt is read in minutes on a small machine


@dataclass(frozen=True, slots=True)
class Served:
    """A model at an address: `url` without a path, `context` in tokens where it is known."""

    url: str
    model: str
    context: int | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What starting a client takes: files to write, variables to set, and the command."""

    files: Mapping[Path, str]
    env: Mapping[str, str]
    command: tuple[str, ...]
    secret: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables that are set like `env`'s but never shown."""


@dataclass(frozen=True, slots=True)
class Client:
    """A program: the name of its executable, how it is installed, and its plan for a folder and arguments."""

    name: str
    executable: str
    install: str
    plan: Callable[[Served, Path, tuple[str, ...]], Plan]


def _codex(served: Served, folder: Path, arguments: tuple[str, ...]) -> Plan:
    file = folder / "config.toml"
    key = {_KEY_VARIABLE: served.key} if served.key else {}
    return Plan(
        {file: _codex_config(served, _codex_trust(file))},
        {"CODEX_HOME": str(folder)},
        ("codex", *arguments),
        key,
    )


def _codex_config(served: Served, trust: Mapping[str, str]) -> str:
    """What differs from Codex's own defaults; every tool it declares is read as part of each prompt."""
    top: dict[str, object] = {"model": served.model, "model_provider": PROVIDER}
    if served.context:
        top["model_context_window"] = served.context
    top |= {
        "model_reasoning_summary": "none",
        "show_raw_agent_reasoning": True,
        "web_search": "disabled",
        "check_for_update_on_startup": False,
    }
    provider: dict[str, object] = {
        "name": "Ossia",
        "base_url": f"{served.url}/v1",
        "wire_api": "responses",
        "stream_idle_timeout_ms": _PATIENCE_MS,
    }
    if served.key:
        provider["env_key"] = _KEY_VARIABLE
    tables: dict[str, Mapping[str, object]] = {
        "": top,
        "analytics": {"enabled": False},
        "agents": {"enabled": False},
        "features": {"goals": False},
        f"model_providers.{PROVIDER}": provider,
    }
    tables |= {f"projects.{json.dumps(path)}": {"trust_level": level} for path, level in trust.items()}
    head = "# Written by `ossia launch codex`, anew each time; only [projects] is kept.\n"
    return head + "\n".join(_toml(name, table) for name, table in tables.items())


def _toml(name: str, table: Mapping[str, object]) -> str:
    head = f"[{name}]\n" if name else ""
    # A string of JSON is one of TOML too where no character is written as a surrogate pair.
    return head + "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in table.items()
    )


def _codex_trust(file: Path) -> dict[str, str]:
    """The folders the user has told Codex to trust; it notes them in the file that is written anew."""
    try:
        projects: object = tomllib.loads(file.read_text("utf-8")).get("projects")
    except (OSError, ValueError):
        return {}
    if not isinstance(projects, dict):
        return {}
    known = cast(dict[str, object], projects)
    levels = {path: cast(dict[str, object], table).get("trust_level")
              for path, table in known.items() if isinstance(table, dict)}  # fmt: skip
    return {path: level for path, level in levels.items() if isinstance(level, str)}


def _opencode(served: Served, folder: Path, arguments: tuple[str, ...]) -> Plan:
    model: dict[str, object] = {"name": served.model, "reasoning": True, "tool_call": True}
    if served.context:
        model["limit"] = {"context": served.context, "output": min(_MOST_OUTPUT, served.context // 2)}
    config: dict[str, object] = {
        "$schema": "https://opencode.ai/config.json",
        "model": f"{PROVIDER}/{served.model}",
        "small_model": f"{PROVIDER}/{served.model}",
        "enabled_providers": [PROVIDER],
        "autoupdate": False,
        "share": "disabled",
        "provider": {
            PROVIDER: {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Ossia",
                "options": {
                    "baseURL": f"{served.url}/v1",
                    "apiKey": f"{{env:{_KEY_VARIABLE}}}",
                    "timeout": _PATIENCE_MS,
                },
                "models": {served.model: model},
            }
        },
    }
    file = folder / "opencode.json"
    env = {"OPENCODE_CONFIG": str(file), "OPENCODE_DISABLE_MODELS_FETCH": "1"}
    return Plan({file: _json(config)}, env, ("opencode", *arguments), {_KEY_VARIABLE: served.key or _NO_KEY})


def _qwen(served: Served, folder: Path, arguments: tuple[str, ...]) -> Plan:
    file = folder / "settings.json"
    generation = {"contextWindowSize": served.context} if served.context else {}
    ours: dict[str, Any] = {
        "security": {"auth": {"selectedType": "openai"}},
        "model": {"name": served.model, "generationConfig": {**generation, "timeout": _PATIENCE_MS}},
        "telemetry": {"enabled": False},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False},
    }
    env = {
        "QWEN_HOME": str(folder),
        "OPENAI_BASE_URL": f"{served.url}/v1",
        "OPENAI_MODEL": served.model,
    }
    settings = _json(_laid_over(_read_json(file), ours))
    return Plan({file: settings}, env, ("qwen", *arguments), {"OPENAI_API_KEY": served.key or _NO_KEY})


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` on `below`, table by table: what the user set in the client stays."""
    both = dict(below)
    for key, value in above.items():
        old = both.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            value = _laid_over(cast(dict[str, Any], old), cast(dict[str, Any], value))
        both[key] = value
    return both


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value: object = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


CLIENTS: Mapping[str, Client] = {
    client.name: client
    for client in (
        Client("codex", "codex", "npm install -g @openai/codex", _codex),
        Client("opencode", "opencode", "npm install -g opencode-ai", _opencode),
        Client("qwen", "qwen", "npm install -g @qwen-code/qwen-code", _qwen),
    )
}
"""Every client by its name."""
