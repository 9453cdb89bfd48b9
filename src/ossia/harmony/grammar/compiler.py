"""From rules to masks: one compiler per tokenizer, one grammar per set of rules, one mask per sampling step.

What is slow is done in a thread: llguidance's tokenizer from the start, each grammar as soon as it is asked
for. The first mask waits for both.
"""

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

import llguidance

from ossia.harmony.grammar.bodies import bodies_of, parameters_of
from ossia.harmony.grammar.check import json_problem, text_problem
from ossia.harmony.grammar.enforce import text_body
from ossia.harmony.grammar.frame import Phase, frame_grammar
from ossia.harmony.grammar.mask import FrameMask
from ossia.harmony.grammar.rules import FrameRules, JsonObject
from ossia.harmony.grammar.vocabulary import build_vocabulary
from ossia.tokenizer.base import Tokenizer

_KEPT = 32  # grammars


class Grammar:
    """A set of rules, compiled. `notes` says what is checked after the fact because it cannot be enforced."""

    def __init__(
        self, rules: FrameRules, tok: Tokenizer, vocabulary: "Future[llguidance.LLTokenizer]"
    ) -> None:
        """Raises InputError for a schema, regex or grammar that cannot be used, as `compile`."""
        self._rules = rules
        self._tok = tok
        self._vocabulary = vocabulary
        self._bodies = bodies_of(rules)
        self._texts = {phase: self._text(phase) for phase in ("free", "late", "answer")}
        self._compiled: dict[Phase, llguidance.LLMatcher] = {}
        self._lock = Lock()
        self.prepared: Future[None] = Future()  # done when the first mask need not wait
        self.notes = tuple(
            f"{recipient or 'the final'}: {gap} is checked afterwards"
            for recipient, body in self._bodies.items()
            for gap in body.gaps
        )

    @property
    def key(self) -> str:
        """What two grammars have in common that are the same."""
        return "\n".join((*self._texts.values(), *self.notes))

    def start(self, *, max_reasoning_tokens: int | None = None) -> FrameMask:
        """A mask for one sampling step, whose prompt ended in ``<|start|>assistant``."""
        return FrameMask(self._tok, self._matcher, max_reasoning_tokens)

    def problem(self, recipient: str | None, text: str) -> str | None:
        """What is wrong with a body: of a call to `recipient`, of the final where None; None if nothing.

        Meant for what `notes` names, and for text sampled without a mask. Formats are not checked.
        """
        if recipient is None:
            return self._final_problem(text)
        callee = next((c for c in self._rules.declared if c.recipient == recipient), None)
        if callee is None or callee.tool is None:
            return None
        if callee.tool.text_input is not None:
            return text_problem(text, text_body(callee.tool.text_input, recipient).grammar)
        return json_problem(text, parameters_of(callee.tool), is_object=True)

    def prepare(self) -> None:
        """Compile what the first mask needs."""
        self._matcher("free")

    def _final_problem(self, text: str) -> str | None:
        form = self._rules.response_format
        if form is None:
            return None
        if isinstance(form, JsonObject):
            return json_problem(text, None, is_object=True)
        return json_problem(text, form.schema, is_object=False)

    def _text(self, phase: Phase) -> str:
        return frame_grammar(self._rules, phase, self._tok.markers, self._bodies.__getitem__)

    def _matcher(self, phase: Phase) -> llguidance.LLMatcher:
        with self._lock:
            compiled = self._compiled.get(phase)
            if compiled is None:
                compiled = llguidance.LLMatcher(self._vocabulary.result(), self._texts[phase], log_level=0)
                self._compiled[phase] = compiled
            return compiled.deep_copy()


class GrammarCompiler:
    """Compiles rules for one tokenizer; begins at once to build what all grammars share."""

    def __init__(self, tok: Tokenizer) -> None:
        self._tok = tok
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="grammar")
        self._vocabulary = self._thread.submit(build_vocabulary, tok)
        self._kept: OrderedDict[str, Grammar] = OrderedDict()
        self._lock = Lock()

    def prepare(self) -> None:
        """Wait until what all grammars share is built."""
        self._vocabulary.result()

    def compile(self, rules: FrameRules) -> Grammar:
        """The grammar of `rules`, the same object while it is kept.

        Raises InputError where a strict schema cannot be enforced (naming the keyword and where it stands),
        where nothing can satisfy a schema, and where a text tool's regex or grammar cannot be used.
        """
        grammar = Grammar(rules, self._tok, self._vocabulary)
        with self._lock:
            kept = self._kept.setdefault(grammar.key, grammar)
            self._kept.move_to_end(grammar.key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            if kept is grammar:
                grammar.prepared = self._thread.submit(grammar.prepare)
        return kept
