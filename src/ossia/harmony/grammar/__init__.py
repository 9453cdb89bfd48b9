"""Grammar over Harmony's whole frame: which tokens a turn may have, so that malformed Harmony, an
undeclared tool and arguments against their schema cannot be sampled.

    compiler = GrammarCompiler(tok)                            # once per tokenizer
    grammar = compiler.compile(rules_for(conversation))        # once per set of rules
    mask = grammar.start(max_reasoning_tokens=4096)            # once per sampling step
"""

from ossia.harmony.grammar.compiler import Grammar, GrammarCompiler
from ossia.harmony.grammar.conversation import rules_for
from ossia.harmony.grammar.mask import FrameMask, free_mask
from ossia.harmony.grammar.rules import (
    AllowedTools,
    FrameRules,
    JsonObject,
    JsonSchema,
    ResponseFormat,
    ToolChoice,
)

__all__ = [
    "AllowedTools",
    "FrameMask",
    "FrameRules",
    "Grammar",
    "GrammarCompiler",
    "JsonObject",
    "JsonSchema",
    "ResponseFormat",
    "ToolChoice",
    "free_mask",
    "rules_for",
]
