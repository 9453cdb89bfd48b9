"""The grammar of one answer: which mask each of its steps gets, and what a mask could not enforce.

A backend that obeys no masks is asked for nothing a mask would have to enforce. Only the limit of reasoning
and "answer now" work there too: the loop stops reading and goes on from a chain of thought it has closed.
"""

import asyncio

from ossia.agent.events import Note
from ossia.agent.steering.control import Control
from ossia.backends.base import Capabilities
from ossia.errors import BackendError, InputError
from ossia.harmony.grammar import (
    AllowedTools,
    FrameMask,
    Grammar,
    GrammarCompiler,
    ResponseFormat,
    ToolChoice,
    free_mask,
    rules_for,
)
from ossia.harmony.messages import Conversation
from ossia.harmony.render import answer_after_thought
from ossia.tokenizer.base import Tokenizer


class Guide:
    """One per answer; `begin` before each step.

    Raises BackendError where something must be enforced and the backend obeys no masks, InputError where the
    grammar is off (`compiler` None).
    """

    def __init__(
        self,
        tok: Tokenizer,
        capabilities: Capabilities,
        compiler: GrammarCompiler | None,
        *,
        tool_choice: ToolChoice,
        response_format: ResponseFormat | None,
        max_calls: int | None,
        reasoning_tokens: int | None,
        control: Control,
    ) -> None:
        self._tok = tok
        self._masks = capabilities.masks
        self._compiler = compiler
        self._tool_choice: ToolChoice = tool_choice
        self._response_format = response_format
        self._max_calls = max_calls
        self._reasoning_tokens = reasoning_tokens
        self._control = control
        self._grammar: Grammar | None = None
        self._told = False
        self.mask: FrameMask | None = None
        self._check()

    @property
    def closing(self) -> list[int]:
        """The ids that end a chain of thought and begin the final."""
        return answer_after_thought(self._tok)

    def begin(self, conversation: Conversation, calls: int, reasoning_tokens: int) -> None:
        """A step begins, after so many calls and tokens of reasoning in this answer; sets `mask`.

        Raises InputError for a tool_choice that names an undeclared tool, and for a strict schema that cannot
        be expressed.
        """
        left = None
        if self._reasoning_tokens is not None:
            left = max(self._reasoning_tokens - reasoning_tokens, 0)
        if not self._masks:
            return
        if self._compiler is None:
            self.mask = free_mask(self._tok, max_reasoning_tokens=left)
        else:
            rules = rules_for(
                conversation,
                tool_choice=choice_after(self._tool_choice, calls),
                response_format=self._response_format,
                max_calls=None if self._max_calls is None else max(self._max_calls - calls, 0),
            )
            self._grammar = self._compiler.compile(rules)
            self.mask = self._grammar.start(max_reasoning_tokens=left)
        self._control.watch(self.mask)

    async def ready(self) -> None:
        """Wait until the step's mask need not wait: it is asked in the engine's thread, which serves all."""
        if self._grammar is not None:
            await asyncio.wait([preparing := asyncio.wrap_future(self._grammar.prepared)])
            preparing.exception()  # what went wrong, the mask says itself

    def must_close(self, thinking: bool, reasoning_tokens: int) -> bool:
        """Whether the loop must close the chain of thought itself, the backend obeying no masks."""
        if self.mask is not None or not thinking:
            return False
        limit = self._reasoning_tokens
        return self._control.asked or (limit is not None and reasoning_tokens >= limit)

    def closed_by_mask(self, thinking: bool) -> Note | None:
        """What to say, once per answer, when the mask has closed the chain of thought."""
        if self.mask is None or self._told or thinking or not self.mask.closed_reasoning:
            return None
        return self.closed()

    def closed(self) -> Note | None:
        """What to say, once per answer, when the chain of thought was closed for the model."""
        told, self._told = self._told, True
        if told:
            return None
        if self._control.asked:
            return Note("answered-now", "the chain of thought was closed because the answer was asked for")
        return Note("reasoning-limit", f"the chain of thought was closed at {self._reasoning_tokens} tokens")

    def problem(self, recipient: str | None, text: str) -> Note | None:
        """What is wrong with a call's body, or (`recipient` None) a final's, by its schema."""
        wrong = self._grammar.problem(recipient, text) if self._grammar is not None else None
        return None if wrong is None else Note("schema-mismatch", wrong)

    def end(self) -> Note | None:
        """The step has ended; a note where its mask gave up."""
        self._control.watch(None)
        failure = self.mask.failure if self.mask is not None else None
        return None if failure is None else Note("grammar-failed", failure)

    def _check(self) -> None:
        if self._max_calls is not None and self._max_calls < 0:
            raise InputError(
                f"max_calls is {self._max_calls}, but must be 0 or more",
                value=self._max_calls,
                limit="from 0",
                remedy="Choose 0 for no calls, or None for no limit.",
            )
        asked = self._must_be_enforced()
        if asked is None or (self._masks and self._compiler is not None):
            return
        if not self._masks:
            raise BackendError(
                f"this backend obeys no grammar, and {asked} needs one",
                value=asked,
                limit="a backend whose capabilities include masks",
                remedy=f"Leave {asked} out, or use the native engine.",
            )
        raise InputError(
            f"the grammar is off, and {asked} needs it",
            value=asked,
            limit="grammar=True",
            remedy=f"Leave {asked} out, or the grammar on.",
        )

    def _must_be_enforced(self) -> str | None:
        if self._tool_choice != "auto":
            return "tool_choice"
        if self._response_format is not None:
            return "response_format"
        return "max_calls" if self._max_calls is not None else None


def choice_after(choice: ToolChoice, calls: int) -> ToolChoice:
    """What is left of a tool choice after `calls` in one answer: what had to be called was called.

    A subset stays the subset; one tool that had to be called, and "required", become "auto". Otherwise the
    model could never answer.
    """
    if not calls:
        return choice
    if isinstance(choice, AllowedTools) and choice.required:
        return "auto" if len(choice.names) == 1 else AllowedTools(choice.names, required=False)
    return "auto" if choice == "required" else choice
