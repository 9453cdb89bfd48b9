"""Tokens from a vLLM server or cluster, by token ids over its completions endpoint."""

from ossia.backends.vllm.backend import VllmBackend

__all__ = ["VllmBackend"]
