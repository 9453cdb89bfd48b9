"""Loops of calls: what the client sends back meets what was sampled."""

from asking import WEATHER, asking
from puppet import call, final

PREAMBLE = "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"


def test_reasoning_survives_a_tool_loop_the_client_forgot_it_in():
    def answer(prompt: str) -> str:
        done = "It is 3 degrees" in prompt
        return final("Cold.") if done else call("functions.weather", {"city": "Oslo"}, "Oslo, I suppose.")

    with asking(answer) as asker:
        first = [{"role": "user", "content": "Weather?"}]
        said = asker.message(first, tools=[WEATHER])
        assert said.pop("reasoning") == said.pop("reasoning_content") == "Oslo, I suppose."
        result = {
            "role": "tool",
            "tool_call_id": said["tool_calls"][0]["id"],
            "content": "It is 3 degrees",
        }
        answered = asker.ask([*first, said, result], tools=[WEATHER])
        before, after = asker.puppet.prompts
        sampled = asker.puppet.ids(call("functions.weather", {"city": "Oslo"}, "Oslo, I suppose."))
    assert answered["choices"][0]["message"]["content"] == "Cold."
    assert after[: len(before) + len(sampled)] == before + sampled
    assert answered["usage"]["prompt_tokens_details"]["cached_tokens"] == len(before)


def test_a_loop_with_a_preamble_goes_on_from_what_was_sampled():
    turn = (
        "<|channel|>analysis<|message|>Look first.<|end|><|start|>assistant"
        + PREAMBLE
        + "<|channel|>analysis<|message|>Now.<|end|><|start|>assistant"
        + call("functions.weather", {"city": "Oslo"})
    )
    with asking(lambda prompt: final("Cold.") if "3 degrees" in prompt else turn) as asker:
        question = {"role": "user", "content": "Weather?"}
        said = asker.message([question], tools=[WEATHER])
        assert (said["content"], said["reasoning"]) == ("I look.", "Look first.\n\nNow.")
        result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "3 degrees"}
        forgotten = {key: said[key] for key in ("role", "content", "tool_calls")}
        for sent_back in (said, forgotten):
            asker.ask([question, sent_back, result], tools=[WEATHER])
            first, again = asker.puppet.prompts[0], asker.puppet.prompts[-1]
            sampled = asker.puppet.ids(turn)
            assert again[: len(first) + len(sampled)] == first + sampled


def test_a_loop_in_the_older_form_goes_on_too():
    turn = call("functions.weather", {"city": "Oslo"}, "Oslo, then.")
    with asking(lambda prompt: final("Cold.") if "3 degrees" in prompt else turn) as asker:
        question, functions = {"role": "user", "content": "Weather?"}, [WEATHER["function"]]
        said = asker.message([question], functions=functions)
        sent_back = {"role": "assistant", "content": None, "function_call": said["function_call"]}
        result = {"role": "function", "name": "weather", "content": "3 degrees"}
        assert asker.message([question, sent_back, result], functions=functions)["content"] == "Cold."
        first, again = asker.puppet.prompts
        sampled = asker.puppet.ids(turn)
        assert again[: len(first) + len(sampled)] == first + sampled


def test_either_name_brings_reasoning_back():
    calls = [{"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
    with asking(final("Cold.")) as asker:
        for key in ("reasoning", "reasoning_content"):
            asker.ask(
                [
                    {"role": "user", "content": "Weather?"},
                    {"role": "assistant", "content": None, "tool_calls": calls, key: f"From {key}."},
                    {"role": "tool", "tool_call_id": "c", "content": "3"},
                ],
                tools=[WEATHER],
            )
            assert f"analysis<|message|>From {key}.<|end|>" in asker.puppet.prompt_text()
