"""From a conversation to rules: which tools count, and which choices cannot be."""

import pytest

from ossia.errors import InputError
from ossia.harmony.grammar import AllowedTools, FrameRules, JsonSchema, rules_for
from ossia.harmony.messages import (
    Conversation,
    DeveloperContent,
    Message,
    SystemContent,
    TextInput,
    ToolNamespace,
    ToolSpec,
    user,
)

FUNCTIONS = ToolNamespace("functions", tools=(ToolSpec("a"), ToolSpec("b")))
PYTHON = ToolNamespace("python", "Runs code.")


def conversation(*functions: ToolNamespace, own: tuple[ToolNamespace, ...] = ()) -> Conversation:
    system = Message("system", SystemContent(tools=own))
    return Conversation((system, Message("developer", DeveloperContent("Hi", functions)), user("Hello")))


def test_tools_come_from_the_system_and_developer_messages() -> None:
    rules = rules_for(conversation(FUNCTIONS, own=(PYTHON,)), tool_choice="auto", max_calls=3)
    assert rules == FrameRules((PYTHON, FUNCTIONS), "auto", None, 3)
    assert [callee.recipient for callee in rules.callees] == ["python", "functions.a", "functions.b"]
    assert rules_for(Conversation((user("Hello"),))) == FrameRules()


def test_what_the_application_declares_is_called_as_functions_are() -> None:
    database = ToolNamespace("database", tools=(ToolSpec("find"),))
    assert rules_for(conversation(database, own=(PYTHON,))).functions == ("functions", "database")
    assert rules_for(conversation(FUNCTIONS, database)).functions == ("functions", "database")


def test_channels_come_from_the_system_message() -> None:
    def channels(content: SystemContent) -> tuple[str, ...]:
        return rules_for(Conversation((Message("system", content), user("Hello")))).channels

    assert channels(SystemContent(channels=("final", "analysis"))) == ("final", "analysis")
    assert channels(SystemContent(channels=())) == ("analysis", "commentary", "final")


def test_the_last_tool_of_a_name_counts() -> None:
    second = ToolNamespace("functions", tools=(ToolSpec("a", "newer"),))
    declared = rules_for(conversation(FUNCTIONS, second)).declared
    assert [(c.recipient, c.tool and c.tool.description) for c in declared] == [
        ("functions.a", "newer"),
        ("functions.b", ""),
    ]


def test_must_call() -> None:
    one = AllowedTools(("functions.a",), required=True)
    assert rules_for(conversation(FUNCTIONS), tool_choice="required").must_call
    assert rules_for(conversation(FUNCTIONS), tool_choice=one).must_call
    assert not rules_for(conversation(FUNCTIONS), tool_choice=AllowedTools(("functions.a",))).must_call
    assert not rules_for(conversation(FUNCTIONS)).must_call
    assert not rules_for(conversation(FUNCTIONS), tool_choice="required", max_calls=0).must_call


@pytest.mark.parametrize(
    ("choice", "why"),
    [
        (AllowedTools(("functions.c",), required=True), "'functions.c' is not declared"),
        (AllowedTools(("functions.a", "browser")), "'browser' is not declared"),
        (AllowedTools(("function",)), "'function' is not declared"),
        (AllowedTools(()), "empty list"),
    ],
)
def test_a_choice_of_what_is_not_declared_is_refused(choice: AllowedTools, why: str) -> None:
    with pytest.raises(InputError, match=why) as raised:
        rules_for(conversation(FUNCTIONS), tool_choice=choice)
    assert raised.value.limit == ["functions.a", "functions.b"]
    assert "functions.a, functions.b" in raised.value.remedy


def test_a_call_required_of_no_tools_is_refused() -> None:
    with pytest.raises(InputError, match="no tool is declared"):
        rules_for(Conversation((user("Hello"),)), tool_choice="required")


@pytest.mark.parametrize("name", ["get weather", "a<|end|>", "a=b", "", "tab\t"])
def test_a_name_that_could_not_stand_in_a_header_is_refused(name: str) -> None:
    namespace = ToolNamespace("functions", tools=(ToolSpec(name),)) if name else ToolNamespace("")
    with pytest.raises(InputError, match="cannot be called"):
        rules_for(conversation(namespace))


def test_schemas_and_inputs_are_checked_at_once() -> None:
    unique = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    strict = ToolNamespace("functions", tools=(ToolSpec("x", parameters=unique, strict=True),))
    with pytest.raises(InputError, match=r"functions\.x cannot be enforced: 'uniqueItems' at #/properties/a"):
        rules_for(conversation(strict))
    with pytest.raises(InputError, match="response format 'answer' cannot be enforced: 'uniqueItems'"):
        rules_for(conversation(), response_format=JsonSchema(unique, "answer", strict=True))
    bad = ToolNamespace("functions", tools=(ToolSpec("y", text_input=TextInput(regex="(")),))
    with pytest.raises(InputError, match=r"the input of functions\.y cannot be used"):
        rules_for(conversation(bad))
    lenient = ToolNamespace("functions", tools=(ToolSpec("x", parameters=unique),))
    assert rules_for(conversation(lenient), response_format=JsonSchema(unique)).callees
