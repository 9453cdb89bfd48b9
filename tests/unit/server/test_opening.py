from datetime import date

from ossia.agent.card import ModelCard
from ossia.harmony.messages import DeveloperContent, SystemContent
from ossia.server.declared import declare
from ossia.server.opening import open_conversation

TODAY = date(2026, 11, 22)


def opened(instructions=(), tools=None, card=None):
    return open_conversation(
        card or ModelCard("m"), effort="low", today=TODAY, instructions=instructions, declared=declare(tools)
    )


def test_only_a_system_message():
    (system,) = opened(["", "  "])
    assert system.content == SystemContent(current_date=TODAY, effort="low")


def test_instructions_and_tools_in_one_developer_message():
    tools = [{"type": "function", "name": "f"}]
    _, developer = opened(["Be kind.", "Be brief."], tools)
    assert developer.content == DeveloperContent("Be kind.\n\nBe brief.", declare(tools).namespaces)
    assert opened([], tools)[1].content.instructions is None


def test_the_card_says_who_it_is():
    card = ModelCard("m", identity="You are Pocket.", knowledge_cutoff=None)
    assert opened(card=card)[0].content == SystemContent("You are Pocket.", None, TODAY, "low")
