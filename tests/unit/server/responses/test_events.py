from ossia.agent.events import (
    CallDelta,
    CallReady,
    CallStarted,
    MessageDone,
    PreambleDelta,
    ReasoningDelta,
    ResultReady,
    TextDelta,
)
from ossia.agent.logprobs import TokenLogprob
from ossia.harmony.messages import Message, tool_result
from ossia.server.declared import declare
from ossia.server.responses.events import OutputEvents, Shown

DECLARED = declare(
    [
        {"type": "function", "name": "f"},
        {"type": "namespace", "name": "db", "description": "", "tools": [{"type": "custom", "name": "sql"}]},
    ]
)


def told(events, shown=None):
    """Events as the wire has them, with ids replaced by their prefixes; and the items."""
    output = OutputEvents(DECLARED, shown or Shown())
    return [event for given in events for event in output.take(given)], output


def types(events):
    return [event["type"].removeprefix("response.") for event in events]


def answer(text="Hello", channel="final", **more):
    return MessageDone(Message("assistant", text, channel=channel, **more))


def test_a_message():
    events, output = told([TextDelta("Hel"), TextDelta("lo"), answer()])
    assert types(events) == [
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
    ]
    (item,) = output.items
    part = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    assert item == {
        "id": item["id"],
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "phase": "final_answer",
        "content": [part],
    }
    added, done = events[0], events[-1]
    assert added["item"] == item | {"status": "in_progress", "content": []}
    assert done == {"type": "response.output_item.done", "output_index": 0, "item": item}
    assert all(event["item_id"] == item["id"] and event["content_index"] == 0 for event in events[1:-1])
    assert item["id"].startswith("msg_")


def test_reasoning_then_preamble():
    events, output = told(
        [
            ReasoningDelta("Hm."),
            answer("Hm.", "analysis"),
            PreambleDelta("Wait."),
            answer("Wait.", "commentary"),
        ]
    )
    assert types(events)[:6] == [
        *("output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.done"),
        *("content_part.done", "output_item.done"),
    ]
    thought, said = output.items
    assert (thought["content"], thought["summary"]) == ([{"type": "reasoning_text", "text": "Hm."}], [])
    assert "encrypted_content" not in thought
    assert said["phase"] == "commentary"
    assert [event["output_index"] for event in events] == [0] * 6 + [1] * 6


def test_the_specification_calls_reasoning_otherwise():
    events, _ = told(
        [ReasoningDelta("Hm."), answer("Hm.", "analysis")], Shown(reasoning="response.reasoning")
    )
    assert types(events)[2:4] == ["reasoning.delta", "reasoning.done"]


def test_summaries():
    events, output = told([ReasoningDelta("Hm."), answer("Hm.", "analysis")], Shown(summary=True))
    assert [kind for kind in types(events) if "summary" in kind] == [
        *("reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done"),
    ]
    assert output.items[0]["summary"] == [{"type": "summary_text", "text": "Hm."}]


def test_reasoning_withheld():
    shown = Shown(reasoning=None, summary=True, seal=lambda message: f"sealed {len(message.text)}")
    events, output = told([ReasoningDelta("Hm."), answer("Hm.", "analysis")], shown)
    assert types(events) == ["output_item.added", "output_item.done"]
    assert "Hm." not in str(events)
    assert output.items[0]["encrypted_content"] == "sealed 3"


def test_calls_are_of_the_type_that_was_declared():
    events, output = told(
        [
            CallStarted("call_1", "functions.f"),
            CallDelta("call_1", "{}"),
            answer("{}", "commentary", recipient="functions.f"),
            CallReady("call_1", "functions.f", "{}"),
            CallStarted("call_2", "db.sql"),
            CallDelta("call_2", "SELECT"),
            answer("SELECT", "commentary", recipient="db.sql"),
            CallReady("call_2", "db.sql", "SELECT"),
        ]
    )
    assert types(events) == [
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done"),
        *("output_item.done", "output_item.added", "custom_tool_call_input.delta"),
        *("custom_tool_call_input.done", "output_item.done"),
    ]
    function, custom = output.items
    assert (function["type"], function["name"], function["arguments"]) == ("function_call", "f", "{}")
    assert "namespace" not in function
    assert (custom["type"], custom["name"], custom["namespace"]) == ("custom_tool_call", "sql", "db")
    assert (custom["input"], events[6]["input"]) == ("SELECT", "SELECT")
    assert output.calls == {function["call_id"]: "functions.f", custom["call_id"]: "db.sql"}
    assert events[0]["item"]["arguments"] == ""


def test_a_call_of_what_nobody_declared_is_not_shown():
    events, output = told(
        [
            CallStarted("call_1", "functions.g"),
            CallDelta("call_1", "{}"),
            answer("{}", "commentary", recipient="functions.g"),
            CallReady("call_1", "functions.g", "{}"),
            ResultReady("call_1", "functions.g", "no such tool", True),
            MessageDone(tool_result("functions.g", "no such tool")),
            TextDelta("Hello"),
            answer(),
        ]
    )
    assert [item["type"] for item in output.items] == ["message"]
    assert all(event["output_index"] == 0 for event in events)


def test_log_probabilities():
    likely = TokenLogprob("Hi", b"Hi", -0.5, (("Hi", b"Hi", -0.5), ("\ufffd", b"\xf0", -3.0)))
    events, output = told([TextDelta("Hi", (likely,)), answer("Hi")], Shown(logprobs=True))
    expected = {
        "token": "Hi",
        "bytes": [72, 105],
        "logprob": -0.5,
        "top_logprobs": [
            {"token": "Hi", "bytes": [72, 105], "logprob": -0.5},
            {"token": "\ufffd", "bytes": [240], "logprob": -3.0},
        ],
    }
    assert events[2]["logprobs"] == events[3]["logprobs"] == [expected]
    assert output.items[0]["content"][0]["logprobs"] == [expected]


def test_an_answer_that_says_nothing_is_a_message_still():
    events, output = told([answer("")])
    assert output.items[0]["content"][0]["text"] == ""
    assert types(events)[-1] == "output_item.done"


def test_what_was_cut_is_incomplete():
    cut = Message("assistant", "Hel", channel="final").with_ids((1,), (2,), (), "v")
    whole = Message("assistant", "Hello", channel="final").with_ids((1,), (2,), (3,), "v")
    for message, status in ((cut, "incomplete"), (whole, "completed")):
        _, output = told([TextDelta(message.text), MessageDone(message)])
        assert output.items[0]["status"] == status
