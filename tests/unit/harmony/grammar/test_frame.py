"""The frame's grammar: the forms that models write, which all read without a diagnostic, and nothing else."""

import re
from pathlib import Path

import numpy as np
import pytest

from ossia.harmony.grammar import AllowedTools, FrameRules, GrammarCompiler, JsonObject, JsonSchema
from ossia.harmony.grammar.mask import FrameMask
from ossia.harmony.messages import Message, TextInput, ToolNamespace, ToolSpec
from ossia.harmony.parse import parse
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony

TINY = Path(__file__).parents[3] / "golden" / "tokenizer_tiny.json"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTIONS = ToolNamespace(
    "functions",
    tools=(
        ToolSpec("get_weather", parameters=CITY),
        ToolSpec("get_time"),
        ToolSpec("note", text_input=TextInput()),
        ToolSpec("dial", text_input=TextInput(regex=r"\d{3}")),
    ),
)
PYTHON = ToolNamespace("python", "Runs code.")
BROWSER = ToolNamespace("browser", tools=(ToolSpec("search", parameters=CITY),))
ALL = FrameRules((FUNCTIONS, PYTHON, BROWSER))
CALL = '<|message|>{"city": "Paris"}<|call|>'
REASONING = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
FINAL = "<|channel|>final<|message|>Yes.<|return|>"


@pytest.fixture(scope="module", params=["o200k_harmony", "checkpoint"])
def tok(request: pytest.FixtureRequest) -> Tokenizer:
    return load_o200k_harmony() if request.param == "o200k_harmony" else load_checkpoint_tokenizer(TINY)


@pytest.fixture(scope="module")
def compiler(tok: Tokenizer) -> GrammarCompiler:
    return GrammarCompiler(tok)


def to_ids(text: str, tok: Tokenizer) -> list[int]:
    special = tok.special_tokens
    ids: list[int] = []
    for part in re.split(r"(<\|\w+\|>)", text):
        ids += [special[part]] if part in special else tok.encode(part)
    return ids


def allowed(mask: FrameMask, ids: list[int], tok: Tokenizer) -> int:
    """How many of `ids` may come, one after the other."""
    out = np.zeros(tok.vocab_size, np.uint8)
    for n, token_id in enumerate(ids):
        if mask.finished:
            return n
        mask.mask(out)
        if not out[token_id]:
            return n
        mask.advance([token_id])
    return len(ids)


WELL_FORMED = {
    "final": FINAL,
    "empty final": "<|channel|>final<|message|><|return|>",
    "analysis, final": REASONING + FINAL,
    "analysis twice": REASONING + REASONING + FINAL,
    "preamble, final": "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant" + FINAL,
    "preamble between analysis": REASONING
    + "<|channel|>commentary<|message|>So:<|end|><|start|>assistant"
    + REASONING
    + FINAL,
    "author first": f" to=functions.get_weather<|channel|>commentary <|constrain|>json{CALL}",
    "author first, no type": f" to=functions.get_weather<|channel|>commentary{CALL}",
    "author first, json": f" to=functions.get_weather<|channel|>commentary json{CALL}",
    "channel first": f"<|channel|>commentary to=functions.get_weather <|constrain|>json{CALL}",
    "channel first, no type": f"<|channel|>commentary to=functions.get_weather{CALL}",
    "channel first, json": f"<|channel|>commentary to=functions.get_weather json{CALL}",
    "channel first, code": f"<|channel|>commentary to=functions.get_weather code{CALL}",
    "glued": f"<|channel|>commentary to=functions.get_weather<|constrain|>json{CALL}",
    "glued, author first": f" to=functions.get_weather<|channel|>commentary<|constrain|>json{CALL}",
    "after analysis": REASONING + f"<|channel|>commentary to=functions.get_weather{CALL}",
    "spaced": "<|channel|>commentary to=functions.get_weather"
    + '<|message|>{\n  "city" : "a\\n\\u0007\\"" }<|call|>',
    "no arguments": "<|channel|>commentary to=functions.get_time <|constrain|>json<|message|>{}<|call|>",
    "plain text": '<|channel|>commentary to=functions.note<|message|>any "text {<|call|>',
    "regex": "<|channel|>commentary to=functions.dial<|message|>112<|call|>",
    "python in analysis": "<|channel|>analysis to=python code<|message|>print(1)\n<|call|>",
    "python, author first": " to=python<|channel|>analysis code<|message|>print(1)<|call|>",
    "python in commentary": "<|channel|>commentary to=python code<|message|>1 + 1<|call|>",
    "member of prose": "<|channel|>analysis to=python.exec code<|message|>1 + 1<|call|>",
    "browser in analysis": f"<|channel|>analysis to=browser.search code{CALL}",
    "browser in commentary": f" to=browser.search<|channel|>commentary{CALL}",
}


@pytest.mark.parametrize("name", WELL_FORMED)
def test_what_models_write_is_allowed_and_reads_without_a_diagnostic(
    name: str, tok: Tokenizer, compiler: GrammarCompiler
) -> None:
    ids = to_ids(WELL_FORMED[name], tok)
    mask = compiler.compile(ALL).start()
    assert allowed(mask, ids, tok) == len(ids)
    assert mask.finished
    messages, diagnostics = parse(ids, tok, "assistant")
    assert not diagnostics
    assert messages[-1].is_call or messages[-1].channel == "final"


MALFORMED = {
    "unknown channel": "<|channel|>|thoughts<|message|>",
    "no channel": "|<|message|>Hello",
    "undeclared tool": "<|channel|>commentary to=functions.|rm<|message|>",
    "bare recipient": "<|channel|>commentary |functions.get_weather<|message|>",
    "function in analysis": "<|channel|>analysis to=|functions.get_weather<|message|>",
    "call that ends": '<|channel|>commentary to=functions.get_weather<|message|>{"city": "a"}|<|end|>',
    "call that returns": "<|channel|>commentary to=functions.note<|message|>a|<|return|>",
    "final that calls": "<|channel|>final<|message|>a|<|call|>",
    "final that ends": "<|channel|>final<|message|>a|<|end|>",
    "analysis that returns": "<|channel|>analysis<|message|>a|<|return|>",
    "endoftext": "<|channel|>final<|message|>a|<|endoftext|>",
    "no terminator": "<|channel|>analysis<|message|>a|<|start|>assistant",
    "no message": "<|channel|>analysis|<|end|>",
    "channel twice": "<|channel|>analysis|<|channel|>final<|message|>",
    "another author": "<|channel|>analysis<|message|>a<|end|><|start|>|user<|message|>",
    "typed text": "<|channel|>final| <|constrain|>json<|message|>",
    "missing key": "<|channel|>commentary to=functions.get_weather<|message|>{|}",
    "wrong value": '<|channel|>commentary to=functions.get_weather<|message|>{"city": |1',
    "regex": "<|channel|>commentary to=functions.dial<|message|>11|a",
    "arguments for none": '<|channel|>commentary to=functions.get_time<|message|>{|"a"',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_cannot_be_sampled(name: str, tok: Tokenizer, compiler: GrammarCompiler) -> None:
    good, _, bad = re.sub(r"<\|(\w+)\|>", r"<!\1!>", MALFORMED[name]).partition("|")
    before, after = (to_ids(part.replace("<!", "<|").replace("!>", "|>"), tok) for part in (good, bad))
    mask = compiler.compile(ALL).start()
    assert allowed(mask, before, tok) == len(before)
    assert allowed(mask, after, tok) < len(after)
    assert mask.failure is None


def kinds(rules: FrameRules, tok: Tokenizer, compiler: GrammarCompiler) -> set[str]:
    """Which of the well-formed turns `rules` allow."""
    grammar = compiler.compile(rules)
    ids = {name: to_ids(text, tok) for name, text in WELL_FORMED.items()}
    return {name for name in ids if allowed(grammar.start(), ids[name], tok) == len(ids[name])}


def test_tool_choice_says_how_a_turn_may_end(tok: Tokenizer, compiler: GrammarCompiler) -> None:
    namespaces = ALL.namespaces
    finals = {name for name in WELL_FORMED if "final" in name or "analysis twice" in name}
    finals |= {"preamble between analysis"}
    calls = set(WELL_FORMED) - finals
    weather = {name for name in calls if "get_weather" in WELL_FORMED[name]}
    assert kinds(ALL, tok, compiler) == finals | calls
    assert kinds(FrameRules(namespaces, "none"), tok, compiler) == finals
    assert kinds(FrameRules(namespaces, max_calls=0), tok, compiler) == finals
    assert kinds(FrameRules(namespaces, "required", max_calls=0), tok, compiler) == finals
    assert kinds(FrameRules(namespaces, "required", max_calls=1), tok, compiler) == calls
    one = AllowedTools(("functions.get_weather",), required=True)
    assert kinds(FrameRules(namespaces, one), tok, compiler) == weather
    subset = AllowedTools(("functions.get_weather", "functions.dial"))
    assert kinds(FrameRules(namespaces, subset), tok, compiler) == finals | weather | {"regex"}
    browser = {name for name in calls if "browser" in name}
    assert kinds(FrameRules(namespaces, AllowedTools(("browser",))), tok, compiler) == finals | browser


def test_what_the_application_declares_is_not_called_in_analysis(
    tok: Tokenizer, compiler: GrammarCompiler
) -> None:
    own = FrameRules(ALL.namespaces, functions=("functions", "python", "browser"))
    called = {name: text.replace(REASONING, "") for name, text in WELL_FORMED.items() if " to=" in text}
    forbidden = {name for name, text in called.items() if "<|channel|>analysis" in text}
    assert forbidden
    assert kinds(own, tok, compiler) == kinds(ALL, tok, compiler) - forbidden


def test_channels_that_are_not_declared_are_not_used(tok: Tokenizer, compiler: GrammarCompiler) -> None:
    everything = kinds(ALL, tok, compiler)
    with_preamble = {name for name in WELL_FORMED if "preamble" in name}
    in_analysis = {name for name, text in WELL_FORMED.items() if "<|channel|>analysis" in text}
    namespaces = ALL.namespaces
    assert (
        kinds(FrameRules(namespaces, channels=("commentary", "final")), tok, compiler)
        == everything - in_analysis
    )
    assert (
        kinds(FrameRules(namespaces, channels=("analysis", "final")), tok, compiler)
        == everything - with_preamble
    )
    assert kinds(FrameRules(namespaces, channels=("final",)), tok, compiler) == (
        everything - in_analysis - with_preamble
    )


@pytest.mark.parametrize(
    ("response_format", "body", "is_allowed"),
    [
        (JsonObject(), '{"a": [1]}', True),
        (JsonObject(), "[1]", False),
        (JsonObject(), "Hello", False),
        (JsonSchema({"type": "array", "items": {"type": "integer"}}), "[1, 2]", True),
        (JsonSchema({"type": "array", "items": {"type": "integer"}}), "[1, true]", False),
    ],
)
@pytest.mark.parametrize("content_type", ["", " <|constrain|>json", "<|constrain|>json"])
def test_a_response_format_holds_in_the_final_only(
    response_format: JsonObject | JsonSchema,
    body: str,
    is_allowed: bool,
    content_type: str,
    tok: Tokenizer,
    compiler: GrammarCompiler,
) -> None:
    text = f"{REASONING}<|channel|>final{content_type}<|message|>{body}<|return|>"
    ids = to_ids(text, tok)
    mask = compiler.compile(FrameRules((PYTHON,), response_format=response_format)).start()
    assert (allowed(mask, ids, tok) == len(ids)) is is_allowed
    if is_allowed:
        assert parse(ids, tok, "assistant")[1] == []


def test_text_in_a_body_never_is_a_control_token(tok: Tokenizer, compiler: GrammarCompiler) -> None:
    ids = to_ids("<|channel|>final<|message|>", tok) + tok.encode("<|end|> <|call|> <|return|>")
    mask = compiler.compile(ALL).start()
    assert allowed(mask, ids, tok) == len(ids)
    assert not mask.finished
    assert parse([*ids, tok.markers.return_], tok, "assistant")[0][0].text == "<|end|> <|call|> <|return|>"


def test_a_lark_grammar_describes_a_call(tok: Tokenizer, compiler: GrammarCompiler) -> None:
    lark = 'start: term ("+" term)*\nterm: NUMBER | "(" start ")"\nNUMBER: /[0-9]+/'
    tools = ToolNamespace("functions", tools=(ToolSpec("sum", text_input=TextInput(lark=lark)),))
    grammar = compiler.compile(FrameRules((tools,)))
    for body, is_allowed in (("1+(20+3)", True), ("1+", False), ("1+(2", False)):
        ids = to_ids(f"<|channel|>commentary to=functions.sum<|message|>{body}<|call|>", tok)
        assert (allowed(grammar.start(), ids, tok) == len(ids)) is is_allowed


def test_a_namespace_in_prose_takes_no_other_name(tok: Tokenizer, compiler: GrammarCompiler) -> None:
    for name, is_allowed in (
        ("python", True),
        ("python.a-b.c_1", True),
        ("pythonic", False),
        ("python.", False),
    ):
        ids = to_ids(f" to={name}<|channel|>analysis<|message|>", tok)
        assert (allowed(compiler.compile(ALL).start(), ids, tok) == len(ids)) is is_allowed


def test_non_canonical_tokens_in_a_body_are_no_mistake(tok: Tokenizer, compiler: GrammarCompiler) -> None:
    letters = [i for letter in '{"city": "Paris in May"}' for i in tok.encode(letter)]
    ids = [*to_ids("<|channel|>commentary to=functions.get_weather<|message|>", tok), *letters]
    mask = compiler.compile(ALL).start()
    # Where the grammar leaves no choice, only the canonical ids may come.
    assert allowed(mask, ids, tok) == (len(ids) if len(tok.encode("city")) == 4 else ids.index(letters[2]))
    text = [*to_ids("<|channel|>commentary to=functions.note<|message|>", tok), *letters, tok.markers.call]
    assert allowed(compiler.compile(ALL).start(), text, tok) == len(text)
    assert parse(text, tok, "assistant")[0] == [
        Message(
            "assistant",
            '{"city": "Paris in May"}',
            channel="commentary",
            recipient="functions.note",
            recipient_in="channel",
        )
    ]
