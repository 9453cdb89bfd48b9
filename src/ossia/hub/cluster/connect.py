"""From a URL to a model that can be talked to: one that vLLM servers compute, and this computer speaks for.

What is asked of the servers is their model's name and how long its context is. The tokenizer is the packaged
one, or a checkpoint's that lies here.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from ossia.agent.card import ModelCard
from ossia.agent.model import Model
from ossia.backends.vllm import VllmBackend
from ossia.backends.vllm.servers import SILENCE_S, Servers
from ossia.errors import BackendError, ConfigError, ModelNotFoundError, OssiaError
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony

_SAMPLE = "Ossia: 6 × 7 = 42, 한국어."  # tokenizers differ in it


def connect(
    url: str | Sequence[str],
    model: str | None = None,
    *,
    api_key: str | None = None,
    tokenizer: Path | None = None,
    silence_s: float = SILENCE_S,
) -> Model:
    """A model served by vLLM at `url`, or at several that serve the same; from synchronous code.

    `model`: its name there, the first one the server lists where None. `tokenizer`: a tokenizer.json or the
    folder of one, for another vocabulary than gpt-oss's. `silence_s`: how long a server may say nothing,
    in seconds. Raises BackendError where no server can be reached, ModelNotFoundError for a model it does
    not serve, ConfigError for one of another vocabulary, CheckpointError for a tokenizer that cannot be used,
    InputError.
    """
    return asyncio.run(aconnect(url, model, api_key=api_key, tokenizer=tokenizer, silence_s=silence_s))


async def aconnect(
    url: str | Sequence[str],
    model: str | None = None,
    *,
    api_key: str | None = None,
    tokenizer: Path | None = None,
    silence_s: float = SILENCE_S,
) -> Model:
    """As `connect`, in the caller's event loop."""
    servers = Servers([url] if isinstance(url, str) else url, api_key, silence_s)
    name, context_length = await _served(servers, model)
    tok = load_o200k_harmony() if tokenizer is None else load_checkpoint_tokenizer(tokenizer)
    await _check_vocabulary(servers, name, tok)
    backend = VllmBackend(servers, name, context_length=context_length, vocab_size=tok.vocab_size)
    if tokenizer is None:
        card = ModelCard(name, context_length=context_length, description="served by vLLM")
    else:  # another vocabulary: not OpenAI's model
        card = ModelCard(name, None, None, context_length, description="served by vLLM")
    return Model(backend, tok, card)


async def _served(servers: Servers, wanted: str | None) -> tuple[str, int]:
    """A model's name there and its context in tokens."""
    listed = cast(list[dict[str, Any]], (await servers.get("/v1/models")).get("data") or [])
    names = [str(entry.get("id")) for entry in listed]
    chosen = next((entry for entry in listed if wanted in (None, entry.get("id"))), None)
    if chosen is None:
        raise ModelNotFoundError(
            f"the server does not serve {wanted or 'any model'}",
            value=wanted,
            limit=names,
            remedy=f"It serves {', '.join(names)}." if names else "Its log says why.",
        )
    length = chosen.get("max_model_len")
    if not isinstance(length, int):
        raise BackendError(
            "the server does not say how long its context is",
            value=chosen,
            limit="a vLLM server, whose /v1/models has max_model_len",
            remedy="Give the URL of vLLM itself, or of a router that passes /v1/models on.",
        )
    return str(chosen["id"]), length


async def _check_vocabulary(servers: Servers, name: str, tok: Tokenizer) -> None:
    """Raise ConfigError where the server reads ids of another vocabulary than `tok`'s: it would answer
    nonsense, or die of an id it does not have."""
    try:
        told = await servers.post(
            "/tokenize", {"model": name, "prompt": _SAMPLE, "add_special_tokens": False}
        )
    except OssiaError:  # a router, or a server without a tokenizer: nothing to compare with
        return
    if isinstance(told.get("tokens"), list) and told["tokens"] != tok.encode(_SAMPLE):
        raise ConfigError(
            f"the server's {name} has another vocabulary than {tok.name}",
            value=told["tokens"],
            limit=tok.encode(_SAMPLE),
            remedy="Serve a gpt-oss model there, or give this one's tokenizer.json (--tokenizer).",
        )
