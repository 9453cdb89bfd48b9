"""Streams of chunks: their order, what each says, and how they end."""

from asking import WEATHER, asking, deltas
from puppet import call, final

from ossia.backends.base import Capabilities
from ossia.errors import BackendError


def test_a_stream_tells_who_speaks_then_thought_then_answer_then_why_it_ended():
    with asking(final("It is sunny.", "Let me see.")) as asker:
        chunks = asker.chunks()
    told = deltas(chunks)
    assert told[0] == {"role": "assistant", "content": "", "refusal": None}
    assert "".join(d.get("reasoning", "") for d in told) == "Let me see."
    assert "".join(d.get("reasoning_content", "") for d in told) == "Let me see."
    assert "".join(d.get("content", "") for d in told) == "It is sunny."
    assert told[-1] == {}
    reasons = [c["finish_reason"] for chunk in chunks for c in chunk["choices"]]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert all("usage" not in chunk for chunk in chunks)
    assert [chunk for chunk in chunks if "ossia" in chunk] == [chunks[-1]]


def test_usage_comes_last_and_without_choices():
    with asking(final("Yes.")) as asker:
        chunks = asker.chunks(stream_options={"include_usage": True, "include_obfuscation": True})
        whole = asker.ask()
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert "timings" in chunks[-1]["ossia"]


def test_calls_come_in_pieces_named_once():
    two = call("functions.weather", {"city": "Oslo"}).removesuffix("<|call|>") + "<|end|><|start|>assistant"
    with asking(two + call("functions.weather", {"city": "Bergen"})) as asker:
        chunks = asker.chunks(tools=[WEATHER])
    pieces = [piece for delta in deltas(chunks) for piece in delta.get("tool_calls", [])]
    named = [piece for piece in pieces if "id" in piece]
    assert [piece["index"] for piece in named] == [0, 1]
    assert len({piece["id"] for piece in named}) == 2
    assert all(piece["function"] == {"name": "weather", "arguments": ""} for piece in named)
    for index, city in enumerate(("Oslo", "Bergen")):
        arguments = [piece["function"]["arguments"] for piece in pieces if piece["index"] == index]
        assert "".join(arguments) == f'{{"city": "{city}"}}'
        assert len(arguments) > 2
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_the_reading_of_the_prompt_is_told_to_who_asks():
    with asking(final("Yes.")) as asker:
        silent, told = asker.chunks(), asker.chunks(return_progress=True)
        total = len(asker.puppet.prompts[0])
    assert not any("prompt_progress" in chunk.get("ossia", {}) for chunk in silent)
    (progress,) = [c["ossia"]["prompt_progress"] for c in told if "prompt_progress" in c.get("ossia", {})]
    assert progress == {"done": total, "total": total}  # the same prompt as before


def test_an_error_on_the_way_is_told_in_the_stream(monkeypatch):
    with asking(final("One two three.")) as asker:
        feed = type(asker.puppet)._play

        async def broken(*args):
            count = 0
            async for token in feed(*args):
                count += 1
                if count > 6:
                    raise BackendError("the engine stopped", remedy="Start it again.")
                yield token

        monkeypatch.setattr(type(asker.puppet), "_play", broken)
        chunks = asker.chunks()
        response = asker.post()
    assert "error" not in chunks[0]
    assert chunks[-1]["error"] == {
        "message": "the engine stopped. Start it again.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    assert response.status_code == 503


def test_what_a_backend_cannot_enforce_is_a_warning(monkeypatch):
    with asking(final("{}")) as asker:
        weak = Capabilities(masks=False, logprobs=False, forced_ids=False, prefix_cache=False)
        monkeypatch.setattr(type(asker.puppet), "capabilities", weak)
        chunks = asker.chunks(
            tools=[WEATHER], tool_choice="required", response_format={"type": "json_object"}, logprobs=True
        )
    told = {warning["message"] for warning in chunks[-1]["ossia"]["warnings"]}
    assert {"tool_choice", "response_format", "logprobs"} <= told
