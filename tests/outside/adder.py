"""A model for these tests: it adds with a tool, knows a city and a name, and says hello otherwise."""

from puppet import Puppet, call, final

THOUGHT = "I add with the tool."
SUM = "It is 3."


def answer(prompt: str) -> str:
    """What it says to a prompt, given as text with control tokens."""
    last = prompt[prompt.rindex("<|start|>user<|message|>") :]
    if "1 + 2?" in last:
        if "<|start|>functions.add to=assistant" in last:
            return final(SUM, "The tool says 3.")
        return call("functions.add", {"a": 1, "b": 2}, THOUGHT)
    if "Busan?" in last:
        return final('{"city": "Busan", "people": 3300000}')
    if "What is my name?" in last:
        return final("Mina." if "My name is Mina." in prompt else "I do not know.")
    return final("Hello there.", "A greeting.")


def scripted(**options) -> Puppet:
    return Puppet(answer, **options)
