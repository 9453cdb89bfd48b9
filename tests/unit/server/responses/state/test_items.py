"""Items get what clients leave out, and keep the rest."""

import pytest

from ossia.errors import InputError
from ossia.server.responses.state.items import input_items, text_of, without_reasoning


def test_text_is_a_users_message():
    (item,) = input_items("Hello.")
    assert item.pop("id").startswith("msg_")
    assert item == {
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "Hello."}],
    }
    assert input_items("") == input_items(None) == []


def test_items_keep_their_ids_and_fields():
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "x": [1]}
    said = {"role": "assistant", "content": "Yes.", "phase": "final_answer"}
    items = input_items([call, said, {"type": "odd", "id": 7}])
    assert items[0] == {**call, "status": "completed"}
    assert items[1]["content"][0]["type"] == "output_text"
    assert items[1]["phase"] == "final_answer"
    assert items[2]["id"].startswith("item_")


@pytest.mark.parametrize("value", [7, ["text"], True])
def test_what_is_no_input_is_refused(value):
    with pytest.raises(InputError):
        input_items(value)


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"type": ["message"]}, "input[1]"),
        ({"type": "item_reference"}, "input[1]"),
        ({"type": "message", "content": "x"}, "input[1]"),
        ({"role": None, "content": "x"}, "input[1]"),
        ({"type": "message", "role": {}, "content": "x"}, "input[1]"),
        ({"role": "wizard", "content": "x"}, "input[1].role"),
    ],
)
def test_an_item_that_no_later_request_could_read_is_refused(item, field):
    with pytest.raises(InputError) as raised:
        input_items([{"role": "user", "content": "x"}, item])
    assert raised.value.param.startswith(field)


def test_the_search_reads_everything_but_reasoning():
    items = input_items(
        [
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "secret"}]},
            {"role": "user", "content": "asked"},
            {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
            {"type": "function_call_output", "call_id": "c", "output": "found"},
        ]
    )
    assert text_of(items) == "asked\nf\n{}\nfound"
    assert without_reasoning(items[0])["content"] == []
    assert without_reasoning(items[1]) == items[1]
