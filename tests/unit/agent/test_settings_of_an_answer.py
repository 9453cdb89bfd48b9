"""Efforts by every name in use, limits, and the opening of a conversation."""

from typing import Any

import pytest

from ossia.agent.card import ModelCard, opening
from ossia.agent.effort import parse_effort
from ossia.agent.limits import Limits
from ossia.errors import InputError
from ossia.harmony.messages import DeveloperContent, SystemContent, ToolSpec
from ossia.tools import Tool, ToolOutcome, calculator
from ossia.tools.toolbox import Toolbox


@pytest.mark.parametrize(
    ("name", "effort"),
    [
        ("none", "low"),
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "medium"),
        ("HIGH ", "high"),
        ("xhigh", "high"),
        ("max", "high"),
    ],
)
def test_efforts(name: str, effort: str) -> None:
    assert parse_effort(name) == effort


def test_an_unknown_effort_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        parse_effort("extreme")
    assert "medium" in str(caught.value.limit)


@pytest.mark.parametrize(
    "limits", [{"turns": 0}, {"tokens": -1}, {"seconds": 0.0}, {"seconds": float("nan")}]
)
def test_limits_are_positive(limits: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Limits(**limits)


class Browser:
    spec = ToolSpec("search", "Search.")
    namespace = "browser"

    async def call(self, arguments: str) -> ToolOutcome:
        return ToolOutcome("")


def test_functions_go_to_the_developer_and_other_namespaces_to_the_system_message() -> None:
    tools: list[Tool] = [Browser(), calculator()]
    system, developer = opening(ModelCard("m"), tools=tools)
    assert isinstance(system.content, SystemContent)
    assert isinstance(developer.content, DeveloperContent)
    assert [ns.name for ns in system.content.tools] == ["browser"]
    assert [ns.name for ns in developer.content.tools] == ["functions"]


def test_without_text_and_functions_there_is_no_developer_message() -> None:
    assert [m.role for m in opening(ModelCard("m"), system="", tools=[Browser()])] == ["system"]
    assert [m.role for m in opening(ModelCard("m"), system="Be brief.")] == ["system", "developer"]
    _, developer = opening(ModelCard("m"), system="", tools=[calculator()])
    assert isinstance(developer.content, DeveloperContent)
    assert developer.content.instructions is None


def test_a_bare_name_finds_a_tool_only_if_one_can_be_meant() -> None:
    class Other(Browser):
        namespace = "library"

    box = Toolbox([Browser(), Other(), calculator()])
    assert box.find("calculator") is not None
    assert box.find("search") is None
    assert isinstance(box.find("library.search"), Other)
