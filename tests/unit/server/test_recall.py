"""A conversation that comes back is read on from where it was sampled."""

import json

import pytest

from ossia.harmony.messages import Conversation, DeveloperContent, Message, SystemContent, tool_result, user
from ossia.harmony.parse import parse
from ossia.harmony.render import render_conversation
from ossia.server.recall import Recall
from ossia.tokenizer import load_o200k_harmony

TOK = load_o200k_harmony()
ASKED = (
    Message("system", SystemContent()),
    Message("developer", DeveloperContent("Be brief.")),
    user("Rain?"),
)


def sampled(text: str) -> tuple[Message, ...]:
    """The messages read from ids the model might have sampled: here the characters one by one."""
    marks = TOK.special_tokens
    ids: list[int] = []
    for part in text.replace("<|", "\0<|").replace("|>", "|>\0").split("\0"):
        ids += [marks[part]] if part in marks else [i for c in part for i in TOK.encode(c)]
    messages, slips = parse(ids, TOK, role="assistant")
    assert not slips
    assert all(m.sampled for m in messages)
    return tuple(messages)


CALLED = sampled(
    "<|channel|>analysis<|message|>Look it up.<|end|><|start|>assistant<|channel|>commentary<|message|>"
    "One moment.<|end|><|start|>assistant<|channel|>commentary to=functions.rain <|constrain|>json<|message|>"
    '{"place": "Busan",  "days": 2.0}<|call|>'
)


def assistant(text: str, channel: str = "final", to: str | None = None) -> Message:
    return Message("assistant", text, channel=channel, recipient=to)


def came_back(*run: Message) -> Conversation:
    return Conversation((*ASKED, *run, tool_result("functions.rain", "yes")))


REMEMBERED = Conversation((*ASKED, *CALLED))
SENT = (assistant(" One moment.\n"), assistant('{"days":2,"place":"Busan"}', "commentary", "functions.rain"))


def test_a_run_that_comes_back_is_the_one_that_was_sampled_with_its_reasoning():
    recall = Recall()
    recall.remember("", REMEMBERED)
    whole = recall.complete("", came_back(*SENT))
    assert whole.messages[3:6] == CALLED
    assert [m.sampled for m in whole.messages[3:6]] == [m.sampled for m in CALLED]
    before = render_conversation(REMEMBERED, TOK, schema="full")
    assert render_conversation(whole, TOK, schema="full")[: len(before)] == before


def test_the_next_run_is_found_behind_the_first():
    recall = Recall()
    final = sampled(
        "<|channel|>analysis<|message|>So.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>"
    )
    recall.remember("", Conversation((*came_back(*CALLED).messages, *final)))
    more = Conversation((*came_back(*SENT).messages, assistant("Yes."), user("Sure?")))
    assert recall.complete("", more).messages == (*came_back(*CALLED).messages, *final, user("Sure?"))


@pytest.mark.parametrize(
    "sent",
    [
        (assistant("One moment!"), SENT[1]),
        (assistant("One\nmoment."), SENT[1]),
        (SENT[0], assistant('{"days":3,"place":"Busan"}', "commentary", "functions.rain")),
        (SENT[0], assistant('{"days":2,"place":"Busan"}', "commentary", "functions.snow")),
        (SENT[1],),
        SENT[:1],
    ],
)
def test_what_the_client_changed_stays_changed(sent):
    recall = Recall()
    recall.remember("", REMEMBERED)
    assert recall.complete("", came_back(*sent)) == came_back(*sent)


def test_another_owner_and_another_beginning_find_nothing():
    recall = Recall()
    recall.remember("ann", REMEMBERED)
    assert recall.complete("bob", came_back(*SENT)) == came_back(*SENT)
    other = Conversation((user("Snow?"), *SENT))
    assert recall.complete("ann", other) == other
    assert len(recall.complete("ann", came_back(*SENT)).messages) == 7


def test_the_system_message_may_change():
    recall = Recall()
    recall.remember("", REMEMBERED)
    low = Conversation((Message("system", SystemContent(effort="low")), *came_back(*SENT).messages[1:]))
    assert recall.complete("", low).messages[3:6] == CALLED


def test_reasoning_of_the_clients_own_stays_and_equal_messages_get_ids():
    recall = Recall()
    recall.remember("", REMEMBERED)
    own = assistant("I should look at the sky.", "analysis")
    whole = recall.complete("", came_back(own, *SENT)).messages[3:6]
    assert whole == (own, *CALLED[1:])
    assert whole[0].sampled is None
    same = recall.complete("", came_back(assistant("Look it up.\n", "analysis"), *SENT)).messages[3:6]
    assert same == CALLED
    assert same[0].sampled is CALLED[0].sampled


def test_texts_that_a_client_joined_are_one_turn():
    recall = Recall()
    run = sampled(
        "<|channel|>commentary<|message|>One moment.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Yes.<|return|>"
    )
    recall.remember("", Conversation((*ASKED, *run)))
    joined = Conversation((*ASKED, assistant("One moment.\n\nYes."), user("Sure?")))
    assert recall.complete("", joined).messages == (*ASKED, *run, user("Sure?"))


def test_arguments_that_are_no_json_are_compared_as_text():
    recall = Recall()
    run = sampled("<|channel|>commentary to=functions.patch<|message|>*** Begin\n{<|call|>")
    recall.remember("", Conversation((*ASKED, *run)))
    sent = Conversation((*ASKED, assistant("*** Begin\n{", "commentary", "functions.patch")))
    assert recall.complete("", sent).messages[-1].sampled is run[0].sampled
    deep = Conversation((*ASKED, assistant("[" * 100_000, "commentary", "functions.patch")))
    assert recall.complete("", deep) == deep


def test_reasoning_alone_and_what_was_never_sampled_is_not_remembered():
    recall = Recall()
    recall.remember("", Conversation((*ASKED, *CALLED[:1])))
    recall.remember("", came_back(*SENT))
    empty = Conversation((*ASKED, assistant("")))
    assert recall.complete("", empty) == empty
    assert recall.complete("", came_back(*SENT)) == came_back(*SENT)


def test_the_least_recently_used_goes_first():
    recall = Recall(max_bytes=9000)
    for i in range(2):
        recall.remember("", Conversation((user(str(i)), *CALLED)))
    sent = [Conversation((user(str(i)), *SENT)) for i in range(2)]
    assert all(recall.complete("", c).messages[1:] == CALLED for c in sent)
    for i in range(10, 13):
        recall.complete("", sent[0])
        recall.remember("", Conversation((user(str(i)), *CALLED)))
    assert recall.complete("", sent[0]).messages[1:] == CALLED
    assert recall.complete("", sent[1]) == sent[1]


def test_lone_surrogates_break_nothing():
    recall = Recall()
    odd = Conversation((user("\ud800"), *CALLED))
    recall.remember("", odd)
    assert recall.complete("", Conversation((user("\ud800"), *SENT))) == odd
    assert json.loads(CALLED[2].text)["days"] == 2
