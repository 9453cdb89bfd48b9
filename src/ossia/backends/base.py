"""The seam between token ids and whatever computes them: a model here, a cluster, or a script.

What stands above (`agent`) knows this protocol and nothing of engines; what implements it knows nothing
of text. A backend says what it can do, and refuses what it cannot.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ossia.model.sampling import PromptProgress, SamplingParams, Token

Item = Token | PromptProgress


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`masks`: a TokenMask is obeyed. `logprobs`: they come with the tokens. `forced_ids`: what a mask
    forces is appended without being sampled. `prefix_cache`: `Token.cached` is counted."""

    masks: bool
    logprobs: bool
    forced_ids: bool
    prefix_cache: bool


class Backend(Protocol):
    """Token ids in, tokens out, for any number of callers in any number of event loops."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def context_length(self) -> int:
        """Prompt and answer of one request together, at most, in tokens."""
        ...

    def generate(self, prompt_ids: Sequence[int], params: SamplingParams) -> AsyncGenerator[Item, None]:
        """The answer's tokens as they come; the last one has `finish`, and one has `cached`: the first, where
        it is known by then.

        Where `params.progress` asks for it, `PromptProgress` may come before them: the first when the prompt
        was accepted, others while it is read. Without it there are only tokens.

        Raises InputError or ContextLengthError before anything is computed, BackendError where the backend
        stops under way. Closing the iterator (`aclose`, cancelling the task that reads it) cancels the
        request and frees what it held; use `contextlib.aclosing` where it may be left early.
        """
        ...

    async def close(self) -> None:
        """Stop; requests under way end with BackendError. Closing twice is no mistake."""
        ...
