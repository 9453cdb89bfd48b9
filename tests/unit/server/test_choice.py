import pytest

from ossia.errors import InputError
from ossia.harmony.grammar import AllowedTools
from ossia.server.choice import read_choice

NAMES = {"functions.a": ("a", None), "functions.b": ("b", None), "db.a": ("a", "db")}


def one(*names):
    return AllowedTools(names, required=True)


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        (None, "auto"),
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "required"}, "required"),
        ({"type": "function", "name": "b"}, one("functions.b")),
        ({"type": "function", "function": {"name": "b"}}, one("functions.b")),
        ({"type": "custom", "name": "b"}, one("functions.b")),
        ({"type": "custom", "custom": {"name": "b"}}, one("functions.b")),
        ({"type": "function", "name": "a"}, one("functions.a", "db.a")),
        ({"type": "function", "name": "a", "namespace": "db"}, one("db.a")),
        ({"type": "namespace", "name": "db"}, one("db.a")),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "b"}]},
            AllowedTools(("functions.b",)),
        ),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "b"}}],
                },
            },
            one("functions.b"),
        ),
    ],
)
def test_every_form(value, choice):
    assert read_choice(value, NAMES, left_out=False) == (choice, [])


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        ({"type": "web_search_preview"}, "auto"),
        ({"type": "mcp", "server_label": "x"}, "auto"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "image_generation"}]}, "none"),
    ],
)
def test_tools_that_are_not_here(value, choice):
    found, notes = read_choice(value, NAMES, left_out=False)
    assert found == choice
    assert [note.code for note in notes] == ["tool-left-out"]


def test_requiring_a_tool_where_none_is():
    choice, notes = read_choice("required", {}, left_out=True)
    assert (choice, [note.code for note in notes]) == ("auto", ["tool-choice"])
    with pytest.raises(InputError, match="no tool is declared"):
        read_choice("required", {}, left_out=False)


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ("always", "tool_choice"),
        (5, "tool_choice"),
        ({"type": "function", "name": "c"}, "tool_choice"),
        ({"type": "function"}, "tool_choice"),
        ({"type": "function", "name": ["a"]}, "tool_choice"),
        ({"type": "allowed_tools", "mode": "none", "tools": []}, "tool_choice.mode"),
        ({"type": "allowed_tools", "tools": [{"type": "function", "name": "c"}]}, "tool_choice.tools[0]"),
    ],
)
def test_what_is_no_choice(value, param):
    with pytest.raises(InputError) as error:
        read_choice(value, NAMES, left_out=False)
    assert error.value.param == param
