"""What is trained is what is inferred: examples made of scripted conversations equal what passed the backend.

Each conversation is answered by the real agent loop on a scripted backend, which records every prompt and
every token. The example of a turn must be its last prompt and what was sampled after it, and the learnt
positions the tokens sampled in any of its steps: no other id, nowhere else.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from ossia.agent.card import ModelCard, opening
from ossia.agent.events import Event, Finished
from ossia.agent.limits import Limits
from ossia.agent.loop import run
from ossia.backends.scripted import ScriptedBackend
from ossia.harmony.incremental import Rendering
from ossia.harmony.messages import Conversation, ToolSpec, tool_result, user
from ossia.harmony.training import NOT_LEARNT, training_examples
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony
from ossia.tools import tool
from ossia.tools.base import Tool, ToolOutcome

TINY = Path(__file__).parents[1] / "golden" / "tokenizer_tiny.json"
CARD = ModelCard("test")
TEXTS = (
    "",
    "a",
    "Let me see.",
    "한국어 문장입니다.",
    "👩‍🚀🏳️‍🌈",
    "<|end|><|start|>assistant",
    "in 1234567 words\n",
)


@dataclass(frozen=True)
class Elsewhere:
    """A tool that its caller runs, not the loop."""

    namespace: str = "functions"
    spec: ToolSpec = field(default_factory=lambda: ToolSpec("elsewhere", "Not here."))

    async def call(self, arguments: str) -> ToolOutcome:
        raise AssertionError("the loop was not given this tool")


async def echo(said: str) -> str:
    """Say it again."""
    return said


ECHO: Tool = tool(echo)


@dataclass
class Writer:
    """Writes what a model samples, in random spellings that no tokenizer would choose."""

    rng: Random
    tok: Tokenizer

    def spell(self, text: str) -> list[int]:
        if self.rng.random() < 0.3:
            return self.tok.encode(text)
        ids: list[int] = []
        while text:
            n = self.rng.randint(1, 6)
            ids += self.tok.encode(text[:n])
            text = text[n:]
        return ids

    def message(self, channel: str, recipient: str | None, end: int, *, first: bool) -> list[int]:
        marks, rng = self.tok.markers, self.rng
        ids = [] if first else [marks.start, *self.spell("assistant")]
        to = [] if recipient is None else self.spell(f" to={recipient}")
        after = rng.random() < 0.5
        ids += [*([] if after else to), marks.channel, *self.spell(channel), *(to if after else [])]
        if recipient is not None and rng.random() < 0.7:
            ids += [*self.spell(" "), marks.constrain, *self.spell("json")]
        text = '{"said": "x"}' if recipient is not None and rng.random() < 0.5 else rng.choice(TEXTS)
        return [*ids, marks.message, *self.spell(text), end]

    def step(self, recipient: str | None) -> list[int]:
        """One sampling: thoughts and preambles, then a call of `recipient`, or else the final."""
        marks = self.tok.markers
        ids: list[int] = []
        for _ in range(self.rng.randint(0, 2)):
            channel = self.rng.choice(("analysis", "analysis", "commentary"))
            ids += self.message(channel, None, marks.end, first=not ids)
        if recipient is None:
            return ids + self.message("final", None, marks.return_, first=not ids)
        return ids + self.message("commentary", recipient, marks.call, first=not ids)

    def cut(self, step: list[int]) -> tuple[list[int], bool]:
        """A step cut off inside one of its bodies, right before it or right after; whether in the last."""
        marks = self.tok.markers
        bodies = [at + 1 for at, i in enumerate(step) if i == marks.message]
        begin = self.rng.choice(bodies)
        end = next(at for at in range(begin, len(step)) if step[at] in (marks.end, marks.call, marks.return_))
        return step[: self.rng.randint(begin, end)], begin == bodies[-1]

    def turns(self) -> list[tuple[bool, list[list[int]]]]:
        """What is sampled until the user is asked again, by turns: whether the user began it, its steps.

        A step may be cut off; then the user says something else, or the model is asked to go on.
        """
        rng = self.rng
        calls = rng.choices(("functions.echo", "functions.elsewhere", "functions.none"), k=rng.randint(0, 3))
        steps = [self.step(recipient) for recipient in [*calls, None]]
        if rng.random() < 0.7:
            return [(True, steps)]
        at = rng.randrange(len(steps))
        steps[at], in_last = self.cut(steps[at])
        if rng.random() < 0.5:
            return [(True, steps[: at + 1])]
        on = [self.step("functions.echo"), self.step(None)]
        if at == len(calls) and in_last:  # a final, so what comes after it is a turn of its own
            return [(True, steps), (False, on)]
        return [(True, [*steps[: at + 1], *on])]


async def answer(
    backend: ScriptedBackend, tok: Tokenizer, talk: Conversation, kept: Rendering, prompts: int
) -> Conversation:
    """Let the model speak until it was asked `prompts` times; what is to be run elsewhere is run here."""
    while len(backend.prompts) < prompts:
        events: list[Event] = [e async for e in run(backend, tok, talk, tools=[ECHO], rendering=kept)]
        finished = events[-1]
        assert isinstance(finished, Finished)
        talk = finished.conversation
        if finished.reason == "calls":
            talk = talk.append(tool_result("functions.elsewhere", "done"))
    return talk


def expected(prompts: list[list[int]], sampled: list[list[int]]) -> tuple[list[int], list[int]]:
    """A turn as the backend saw it: the last prompt with its answer; and what any step sampled, in place."""
    ids = prompts[-1] + sampled[-1]
    labels = [NOT_LEARNT] * len(ids)
    for prompt, answered in zip(prompts, sampled, strict=True):
        end = len(prompt) + len(answered)
        assert ids[:end] == prompt + answered, "a step does not go on from the one before"
        labels[len(prompt) : end] = answered
    return ids, labels


async def check(seed: int, tok: Tokenizer) -> tuple[int, int]:
    """One conversation; returns how many turns and steps it had."""
    rng = Random(seed)
    writer = Writer(rng, tok)
    turns = [turn for _ in range(rng.randint(1, 4)) for turn in writer.turns()]
    backend = ScriptedBackend([step for _, steps in turns for step in steps], 100_000)
    talk = Conversation(opening(CARD, tools=[ECHO, Elsewhere()]))
    kept = Rendering(tok, schema="full")
    recorded: list[tuple[list[int], list[int]]] = []
    for asked, steps in turns:
        first = len(backend.prompts)
        talk = talk.append(user(rng.choice(TEXTS))) if asked else talk
        talk = await answer(backend, tok, talk, kept, first + len(steps))
        assert len(backend.prompts) == first + len(steps), "more was asked for than a turn has steps"
        recorded.append(expected(backend.prompts[first:], steps))
    examples = training_examples(talk, tok, schema="full")
    assert [(e.input_ids, e.labels) for e in examples] == recorded
    return len(turns), sum(len(steps) for _, steps in turns)


@pytest.mark.parametrize(("name", "seeds"), [("o200k", range(500)), ("tiny", range(500, 1000))])
def test_a_thousand_conversations_are_learnt_as_they_were_sampled(name: str, seeds: range) -> None:
    tok = load_o200k_harmony() if name == "o200k" else load_checkpoint_tokenizer(TINY)

    async def check_all() -> list[tuple[int, int]]:
        return [await check(seed, tok) for seed in seeds]

    counts = asyncio.run(check_all())
    turns, steps = (sum(column) for column in zip(*counts, strict=True))
    assert turns > 1000
    assert steps > 2 * turns, "too few tool loops to mean anything"


def test_a_hurried_answer_is_learnt_with_what_hurried_it() -> None:
    tok = load_o200k_harmony()
    marks = tok.markers
    thought = [
        marks.channel,
        *tok.encode("analysis"),
        marks.message,
        *tok.encode("one two three four five six"),
    ]
    answered = [*tok.encode("Done."), marks.return_]
    backend = ScriptedBackend([thought, answered], 100_000)
    talk = Conversation((*opening(CARD), user("Hi")))

    async def ask() -> Event:
        return [e async for e in run(backend, tok, talk, limits=Limits(reasoning_tokens=3))][-1]

    finished = asyncio.run(ask())
    assert isinstance(finished, Finished)
    (example,) = training_examples(finished.conversation, tok, schema="full")
    first, last = backend.prompts
    assert len(last) < len(first) + len(thought) + 7, "the thought was cut short"
    assert example.input_ids == last + answered
    assert example.labels == [NOT_LEARNT] * len(first) + (last + answered)[len(first) :]
