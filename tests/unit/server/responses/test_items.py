from ossia.agent.logprobs import TokenLogprob
from ossia.server.declared import ClientTool
from ossia.server.responses.items import call_item, logprobs_body, message_item, new_id, reasoning_item


def test_ids_are_new_and_say_what_they_name():
    ids = {new_id("resp") for _ in range(100)}
    assert len(ids) == 100
    assert all(len(name) == len("resp_") + 48 for name in ids)
    prefixes = [
        item["id"].split("_")[0]
        for item in (
            *(reasoning_item(), message_item("commentary")),
            *(call_item(ClientTool("function", "f")), call_item(ClientTool("custom", "c"))),
        )
    ]
    assert prefixes == ["rs", "msg", "fc", "ctc"]


def test_calls_are_named_as_their_client_named_them():
    function = call_item(ClientTool("function", "f"))
    assert (function["type"], function["arguments"], "namespace" in function) == ("function_call", "", False)
    custom = call_item(ClientTool("custom", "c", "space"))
    assert (custom["type"], custom["input"], custom["namespace"]) == ("custom_tool_call", "", "space")
    assert custom["call_id"].startswith("call_")


def test_log_probabilities():
    token = TokenLogprob("\ufffd", b"\xf0", -1.5, (("a", b"a", -0.5),))
    assert logprobs_body([token]) == [
        {
            "token": "\ufffd",
            "bytes": [240],
            "logprob": -1.5,
            "top_logprobs": [{"token": "a", "bytes": [97], "logprob": -0.5}],
        }
    ]
