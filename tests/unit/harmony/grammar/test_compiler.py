"""Compiling: once per set of rules, in the background, and what is left to check."""

import threading
from pathlib import Path

import numpy as np
import pytest

from ossia.errors import InputError
from ossia.harmony.grammar import FrameRules, GrammarCompiler, JsonObject, JsonSchema
from ossia.harmony.messages import TextInput, ToolNamespace, ToolSpec
from ossia.tokenizer import load_checkpoint_tokenizer

TOK = load_checkpoint_tokenizer(Path(__file__).parents[3] / "golden" / "tokenizer_tiny.json")
UNIQUE = {
    "type": "object",
    "properties": {"tags": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True}},
    "required": ["tags"],
}
FUNCTIONS = ToolNamespace(
    "functions",
    tools=(
        ToolSpec("tag", parameters=UNIQUE),
        ToolSpec("now"),
        ToolSpec("dial", text_input=TextInput(regex=r"\d{3}")),
        ToolSpec("say", text_input=TextInput()),
    ),
)


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return GrammarCompiler(TOK)


def test_the_same_rules_are_compiled_once(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile(FrameRules((FUNCTIONS,)))
    assert compiler.compile(FrameRules((FUNCTIONS,))) is grammar
    assert compiler.compile(FrameRules((FUNCTIONS,), max_calls=2)) is not compiler.compile(FrameRules(()))


def test_rules_that_differ_only_in_what_is_checked_are_kept_apart(compiler: GrammarCompiler) -> None:
    lenient = {"type": "object", "properties": {"a": {"type": "string", "format": "color"}}}
    plain = {"type": "object", "properties": {"a": {"type": "string"}}}
    one, other = (
        compiler.compile(FrameRules(response_format=JsonSchema(schema))) for schema in (lenient, plain)
    )
    assert one is not other
    assert one.notes
    assert other.notes == ()


def test_old_grammars_are_let_go(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile(FrameRules((FUNCTIONS,)))
    for n in range(40):
        compiler.compile(FrameRules((ToolNamespace(f"n{n}", "prose"),)))
    again = compiler.compile(FrameRules((FUNCTIONS,)))
    assert again is not grammar
    assert again.key == grammar.key


def test_notes_name_what_is_checked_afterwards(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile(FrameRules((FUNCTIONS,), response_format=JsonSchema(UNIQUE)))
    assert grammar.notes == (
        "functions.tag: 'uniqueItems' at #/properties/tags is checked afterwards",
        "the final: 'uniqueItems' at #/properties/tags is checked afterwards",
    )


def test_problems(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile(FrameRules((FUNCTIONS, ToolNamespace("python", "prose"))))
    assert grammar.problem("functions.tag", '{"tags": ["a", "b"]}') is None
    assert "non-unique" in (grammar.problem("functions.tag", '{"tags": ["a", "a"]}') or "")
    assert "not valid JSON" in (grammar.problem("functions.tag", '{"tags": ') or "")
    assert grammar.problem("functions.now", "{}") is None
    assert grammar.problem("functions.now", '{"a": 1}')
    assert grammar.problem("functions.dial", "112") is None
    assert grammar.problem("functions.dial", "11")
    assert grammar.problem("functions.say", "anything") is None
    assert grammar.problem("python", "anything") is None
    assert grammar.problem("functions.unheard_of", "anything") is None
    assert grammar.problem(None, "anything") is None


def test_problems_of_the_final(compiler: GrammarCompiler) -> None:
    any_object = compiler.compile(FrameRules(response_format=JsonObject()))
    assert any_object.problem(None, '{"a": 1}') is None
    assert any_object.problem(None, "[1]") == "not a JSON object"
    listed = compiler.compile(FrameRules(response_format=JsonSchema({"type": "array"})))
    assert listed.problem(None, "[1]") is None
    assert listed.problem(None, "{}")


def test_a_tool_may_be_judged_that_may_not_be_called(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile(FrameRules((FUNCTIONS,), "none"))
    assert grammar.problem("functions.now", '{"a": 1}')


def test_what_cannot_be_used_is_refused(compiler: GrammarCompiler) -> None:
    strict = ToolNamespace("functions", tools=(ToolSpec("tag", parameters=UNIQUE, strict=True),))
    with pytest.raises(InputError, match="'uniqueItems' at #/properties/tags"):
        compiler.compile(FrameRules((strict,)))


def test_many_threads_may_compile_and_mask_at_once() -> None:
    compiler = GrammarCompiler(TOK)
    sums: list[int] = []

    def work(n: int) -> None:
        out = np.zeros(TOK.vocab_size, np.uint8)
        mask = compiler.compile(FrameRules((FUNCTIONS,) if n % 2 else ())).start()
        mask.mask(out)
        assert mask.failure is None
        sums.append(int(out.sum()))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sums) == 12
    assert len(set(sums)) == 2
