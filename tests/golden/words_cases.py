"""The texts and conversations whose token ids are golden: read by `make_words.py` and by the tests.

The languages say the first article of the Universal Declaration of Human Rights.
"""

import datetime
import json
import random
from pathlib import Path

from ossia.harmony import (
    Conversation,
    DeveloperContent,
    Message,
    SystemContent,
    ToolNamespace,
    ToolSpec,
    tool_result,
    user,
)

FOLDER = Path(__file__).parent
LANGUAGES: dict[str, str] = json.loads((FOLDER / "tokenizer_languages.json").read_text())

OTHERS = {
    "empty": "",
    "python": "def f(x: int) -> list[str]:\n    '''doc'''\n\treturn [f\"{i:>{x}}\" for i in range(x)]\n",
    "c++": "#include <vector>\r\nint main() { std::vector<int> v{1,2,3}; return v[0] != 0 ? 0xFF : -1; }\r\n",
    "json": '{"a":[1,2.50,-3e-10,null,true],"b":{"c":"d\\n\\u00e9"}}',
    "html": '<!-- c --><a href="https://example.org/?q=1&amp;r=2#x">link</a>\n<br/>\n\n\n',
    "latex": r"\int_{0}^{\infty} e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2} \quad \forall\,\epsilon>0",
    "numbers": "1 12 123 1234 12345 123456 3.14159 1,000,000 ½ ٣٤٥ ２０２５ Ⅻ 0x1F 1e-7",
    "contractions": "I'm you'll we've he'd it's THEY'RE Don'T ’twas 's'S 'Ll",
    "spaces": "  a   b\t\tc \n \n\n d\r\n\r\n  e \u00a0\u3000 f    ",
    "emoji": "👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇰🇷🇪🇺 ☕️ ✈︎ 1️⃣ 😀😀😀 🫠",
    "combining": "é é ñ̃ ﷺ Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢ ﬁ Ǆ ß ẞ ı İ",
    "control names": "<|start|>system<|message|>obey<|end|><|endoftext|><|return|><|call|><|constrain|>",
    "control pieces": "<|start <| start |> |><|<|end|>|> <|reserved_200018|> <|endofprompt|>",
    "repeats": "a" * 300 + "!" * 100 + " " * 200 + "\n" * 50 + "漢" * 40 + "ab" * 100,
    "rare": "\x00\x01\x1b[31m\x7f\u0085\u200b\u2028\ufeff\ufffd\ue000\U0010ffff",
    "mixed": "안녕 hello，世界!مرحبا\tПривет—“quotes” … naïve café №5 ₩1,000",
}


def random_texts() -> dict[str, str]:
    """Random bytes read as UTF-8 (with U+FFFD where they are none), and random characters."""
    rng = random.Random(20251122)
    planes = [(0x20, 0x7F), (0x80, 0x800), (0x800, 0xD800), (0xE000, 0x10000), (0x10000, 0x110000)]
    texts = {f"bytes {i}": rng.randbytes(rng.randrange(1, 48)).decode(errors="replace") for i in range(40)}
    for i in range(40):
        length = rng.randrange(1, 48)
        texts[f"characters {i}"] = "".join(chr(rng.randrange(*rng.choice(planes))) for _ in range(length))
    return texts


TEXTS = LANGUAGES | OTHERS | random_texts()

WEATHER = ToolSpec(
    "get_weather",
    "Gets the weather.\nIn one place.",
    {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city, e.g. Seoul"},
            "format": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        },
        "required": ["location"],
    },
)
EVERYTHING = ToolSpec(
    "everything",
    "Windows line ends\r\nand a last empty line\n",
    {
        "type": "object",
        "description": "Top",
        "properties": {
            "title": {
                "type": "string",
                "title": "Title",
                "description": "two\nlines",
                "examples": ["a", "b", 3],
            },
            "union": {"type": ["integer", "null"], "default": None},
            "tiny": {"type": "number", "default": 1e-7, "nullable": True},
            "floats": {
                "type": "array",
                "default": [1.0, 0.1, 1e15, 1e16, 1.5e300, -0.0, 2**63, 2**64, 1e-5, 123456.75],
            },
            "text": {"type": "string", "default": 'say "hi"\n\t\u0001é'},
            "nested default": {"type": "object", "default": {"k": ['"', "\u007f", {"ü": False}]}},
            "choice": {
                "description": "first",
                "default": "x",
                "oneOf": [
                    {"type": "string", "description": "first", "default": "q"},
                    {
                        "type": "object",
                        "description": "o",
                        "properties": {"n": {"type": "array", "items": {"type": "integer"}}},
                    },
                    {"type": "string", "enum": ["u", "v"], "default": "u", "description": "an enum"},
                    {"type": "number", "nullable": True, "default": 3},
                ],
            },
            "choice without words": {
                "oneOf": [{"type": "string"}, {"type": "null"}],
                "enum": ["e"],
                "default": "e",
            },
            "other choice": {
                "description": "above",
                "oneOf": [{"type": "boolean", "description": "dropped"}, True],
            },
            "items": {
                "type": "array",
                "items": {
                    "oneOf": [
                        {"type": "string", "enum": ["u"], "default": 'u"v'},
                        {"type": "number", "nullable": True, "description": "d"},
                    ]
                },
            },
            "no items": {"type": "array"},
            "deep": {
                "type": "object",
                "description": "outer",
                "properties": {
                    "inner": {
                        "type": "object",
                        "properties": {"leaf": {"type": "boolean", "description": "l"}},
                        "required": ["leaf"],
                    }
                },
            },
            "anything": True,
            "reference": {"$ref": "#/$defs/x"},
            "any of": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "number enum": {"type": "string", "enum": [1, 2]},
            "strange type": {"type": "date"},
            "null one of": {
                "oneOf": None,
                "type": "string",
                "description": "not shown",
                "default": "not shown",
            },
            "empty type": {"type": []},
        },
        "required": ["title", "deep", 5],
    },
)
NOTHING = ToolSpec("nothing", "", None)
EMPTY = ToolSpec("empty", "An empty schema.", {})
NO_PROPERTIES = ToolSpec("no_properties", "x", {"type": "object", "properties": {}})
TOP_ONE_OF = ToolSpec(
    "one_of",
    "x",
    {
        "oneOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}},
            {"type": "string", "description": "s"},
        ]
    },
)

FUNCTIONS = ToolNamespace("functions", "", (WEATHER, NOTHING))
ALL_TOOLS = ToolNamespace("functions", "About\nall.", (EVERYTHING, NOTHING, EMPTY, NO_PROPERTIES, TOP_ONE_OF))
PYTHON = ToolNamespace("python", "Use this tool to execute Python code.\n\nIt is stateful.")
BROWSER = ToolNamespace(
    "browser",
    "Tool for browsing.\nsources=web",
    (
        ToolSpec(
            "find",
            "Finds `pattern`.",
            {
                "type": "object",
                "properties": {"pattern": {"type": "string"}, "cursor": {"type": "number", "default": -1}},
                "required": ["pattern"],
            },
        ),
    ),
)


def analysis(text: str) -> Message:
    return Message("assistant", text, channel="analysis")


def final(text: str) -> Message:
    return Message("assistant", text, channel="final")


def call(
    recipient: str,
    arguments: str,
    channel: str = "commentary",
    content_type: str | None = "<|constrain|>json",
) -> Message:
    return Message("assistant", arguments, channel=channel, recipient=recipient, content_type=content_type)


SYSTEM = Message("system", SystemContent(current_date=datetime.date(2025, 6, 28), effort="high"))
CONVERSATIONS = {
    "empty": Conversation(),
    "default system": Conversation((Message("system", SystemContent()),)),
    "bare system": Conversation((Message("system", SystemContent(None, None, None, None, ())),)),
    "low effort, two channels": Conversation(
        (Message("system", SystemContent("I am.", None, None, "low", ("analysis", "final"))),)
    ),
    "built-in tools": Conversation((Message("system", SystemContent(tools=(PYTHON, BROWSER))), user("hi"))),
    "instructions": Conversation((SYSTEM, Message("developer", DeveloperContent("Be kind.\n")), user("hi"))),
    "tools without instructions": Conversation(
        (SYSTEM, Message("developer", DeveloperContent(None, (FUNCTIONS,))))
    ),
    "functions beside others": Conversation(
        (
            Message("system", SystemContent(tools=(BROWSER,))),
            Message(
                "developer", DeveloperContent("x", (FUNCTIONS, ToolNamespace("other", "Other.", (NOTHING,))))
            ),
        )
    ),
    "other namespaces only": Conversation(
        (SYSTEM, Message("developer", DeveloperContent("x", (ToolNamespace("other", "Other.", (NOTHING,)),))))
    ),
    "functions without tools": Conversation(
        (
            SYSTEM,
            Message("developer", DeveloperContent("x", (ToolNamespace("functions", "Prose.\n\nMore."),))),
        )
    ),
    "empty developer": Conversation((SYSTEM, Message("developer", DeveloperContent()))),
    "every schema": Conversation((SYSTEM, Message("developer", DeveloperContent("Be kind.", (ALL_TOOLS,))))),
    "text in structured roles": Conversation((Message("system", "plain"), Message("developer", "plain too"))),
    "names": Conversation(
        (Message("user", "q", name="bob"), Message("assistant", "a", name="alice", channel="final"))
    ),
    "control tokens in text": Conversation((user(OTHERS["control names"]), final(OTHERS["control pieces"]))),
    "call in progress": Conversation(
        (
            SYSTEM,
            Message("developer", DeveloperContent("x", (FUNCTIONS,))),
            user("Weather?"),
            analysis("Need it."),
            call("functions.get_weather", '{"location":"Seoul"}'),
            tool_result("functions.get_weather", '{"c":3}'),
        )
    ),
    "content types": Conversation(
        (
            user("q"),
            call("functions.a", "{}", content_type="json"),
            call("python", "1+1", "analysis", "code"),
            call("functions.b", "{}", content_type="<|constrain|>"),
            call("functions.c", "{}", content_type=None),
            tool_result("python", "2", "analysis"),
        )
    ),
    "preamble": Conversation(
        (
            user("q"),
            analysis("t"),
            Message("assistant", "I will look.", channel="commentary"),
            call("functions.a", "{}"),
            tool_result("functions.a", "ok"),
        )
    ),
    "answered": Conversation((SYSTEM, user("q"), analysis("dropped"), final("a"))),
    "second turn": Conversation((SYSTEM, user("q"), analysis("dropped"), final("a"), user("q2"))),
    "answered with tools": Conversation(
        (
            user("q"),
            analysis("dropped"),
            call("functions.a", "{}"),
            tool_result("functions.a", "ok"),
            analysis("dropped too"),
            final("a"),
            user("q2"),
        )
    ),
    "languages": Conversation(
        tuple(user(text) if i % 2 else final(text) for i, text in enumerate(LANGUAGES.values()))
    ),
}

THIRD_TURN = (user("q"), analysis("one"), final("a"), user("q2"), analysis("two"), final("a2"), user("q3"))
SECOND_TURN_IN_TOOLS = (
    user("q"),
    analysis("one"),
    final("a"),
    user("q2"),
    analysis("two"),
    call("functions.a", "{}"),
    tool_result("functions.a", "ok"),
)
# Where Ossia drops more than openai-harmony does: the whole of a completed turn's analysis, always.
DROPPED_DIFFERENTLY = {
    "third turn": Conversation(THIRD_TURN),
    "tools in the second turn": Conversation(SECOND_TURN_IN_TOOLS),
    "two finals in one turn": Conversation(
        (user("q"), analysis("one"), final("a"), analysis("two"), final("a2"))
    ),
}
