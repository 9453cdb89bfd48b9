"""The other programs `ossia launch` knows, the real ones: each calls its shell and answers."""

import pytest
from agents import Agent
from puppet import Puppet, call, final, running, service_of

pytestmark = pytest.mark.outside


def answer(prompt: str) -> str:
    """A title where one is asked for; else a call of the shell, and the answer to what it says."""
    if "exec-42" in prompt:
        return final("The shell says 42.")
    if "functions.bash" not in prompt and "type bash" not in prompt and "run_shell_command" not in prompt:
        return final("A title.")
    name = "run_shell_command" if "type run_shell_command" in prompt else "bash"
    extra = {"is_background": False} if name == "run_shell_command" else {"description": "say it"}
    return call(f"functions.{name}", {"command": "echo exec-$((40 + 2))"} | extra, "I look.")


@pytest.mark.parametrize("words", [["opencode", "run"], ["qwen", "-y", "-p"]], ids=lambda words: words[0])
def test_it_calls_its_shell_and_answers(agent: Agent, words: list[str]) -> None:
    puppet = Puppet(answer)
    with running(service_of(puppet)) as url:
        done = agent.launch(url, *words, "What does the shell say?")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "The shell says 42." in done.stdout
    assert any("exec-42" in puppet.prompt_text(at) for at in range(len(puppet.prompts)))
