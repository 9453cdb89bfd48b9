"""Invents whole conversations: what the adapter learns Harmony from.

`invent_example(index, …)` is a pure function of the seed and the index: the same example every time, on every
machine. Each example is one turn with exactly the context inference would see (earlier turns without
their analysis), the turn's steps included. The loss belongs to what the model itself would sample.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Literal

from ossia.harmony.messages import (
    EFFORTS,
    Conversation,
    DeveloperContent,
    Effort,
    Message,
    SystemContent,
    ToolNamespace,
    ToolSpec,
    tool_result,
    user,
)
from ossia.posttrain.data import persona, reasoning
from ossia.posttrain.data.everyday import follow_up_need, invent_tool, need
from ossia.posttrain.data.results import result_of, tell_sum
from ossia.posttrain.data.sums import Sum, follow_up, invent_sum
from ossia.posttrain.data.toolbox import Invented, Need
from ossia.tools.calculator import calculator

IDENTITY = "You are Ossia's pocket model, a small language model."
CALCULATOR = calculator().spec
Kind = Literal["sum", "tool", "talk", "persona", "refuse"]
_WEIGHTS: dict[Kind, int] = {"sum": 15, "tool": 52, "talk": 24, "persona": 8, "refuse": 1}
_INSTRUCTIONS = (
    "Be brief.",
    "You are a helpful assistant.",
    "Answer in plain words.",
    "Be friendly.",
    "Always be polite.",
    "Use the tools when they help.",
    "You help the staff of a small office.",
    "Keep answers short and clear.",
    "You are a travel assistant.",
    "You help people at home.",
    "Answer in one or two sentences.",
    "You support a software team.",
)


@dataclass(frozen=True, slots=True)
class Talk:
    """A question and the base's own answer to it, as `distill` stored them."""

    question: str
    answer: str
    index: int


@dataclass(frozen=True, slots=True)
class Example:
    """`conversation` up to `start` is context; what the assistant says from there on is to be learnt.

    `talk` says which stored answer the final is, so that its soft targets can be used.
    """

    kind: Kind
    effort: Effort
    conversation: Conversation
    start: int
    talk: Talk | None = None


class Author:
    """Builds one example, message by message."""

    def __init__(self, rng: Random, talks: Sequence[Talk], kind: Kind, held_out: bool) -> None:
        self.rng = rng
        self.talks = talks
        self.kind: Kind = kind
        self.held_out = held_out
        self.effort: Effort = rng.choice(EFFORTS)
        self.calls_after_channel = rng.random() < 0.2  # the order of the header; one order per conversation
        self.tools: list[Invented] = []
        self.has_calculator = False
        self.messages: list[Message] = []
        self.talk: Talk | None = None
        self.last_need: Need | None = None

    # -- frame

    def choose_tools(self) -> None:
        """Which tools are declared, before anything is said."""
        rng = self.rng
        if self.kind == "tool":
            count = rng.choices((1, 2, 3, 4, 5), weights=(42, 27, 16, 9, 6))[0]
        else:
            weights = (25, 35, 25, 15) if self.kind in ("talk", "persona") else (58, 22, 13, 7)
            count = rng.choices((0, 1, 2, 3), weights=weights)[0]
        while len(self.tools) < count:
            found = invent_tool(rng, held_out=self.held_out)
            known = {tool.action.about for tool in self.tools} | {tool.spec.name for tool in self.tools}
            if found.action.about not in known and found.spec.name not in known:
                self.tools.append(found)
            elif self.held_out and rng.random() < 0.3:
                break
        chance = {"sum": 1.0, "tool": 0.3, "talk": 0.4, "persona": 0.4, "refuse": 0.3}[self.kind]
        self.has_calculator = rng.random() < chance
        if self.kind in ("talk", "persona") and rng.random() < 0.15:
            self.tools, self.has_calculator = [], False

    def open(self) -> None:
        """System message and, where there is something to say, the developer's."""
        rng = self.rng
        day = date(2024, 1, 1) + timedelta(days=rng.randint(0, 2500)) if rng.random() < 0.6 else None
        self.messages.append(
            Message("system", SystemContent(IDENTITY, None, current_date=day, effort=self.effort))
        )
        specs: list[ToolSpec] = [tool.spec for tool in self.tools]
        if self.has_calculator:
            specs.insert(rng.randint(0, len(specs)), CALCULATOR)
        instructions = rng.choice(_INSTRUCTIONS) if rng.random() < 0.3 else None
        if specs or instructions:
            spaces = (ToolNamespace("functions", "", tuple(specs)),) if specs else ()
            self.messages.append(Message("developer", DeveloperContent(instructions, spaces)))

    # -- what the assistant says

    def think(self, text: str) -> None:
        self.messages.append(Message("assistant", text, channel="analysis"))

    def answer(self, text: str) -> None:
        self.messages.append(Message("assistant", text, channel="final"))

    def call(self, name: str, arguments: str, result: str) -> None:
        order: Literal["author", "channel"] = "channel" if self.calls_after_channel else "author"
        self.messages.append(
            Message(
                "assistant",
                arguments,
                channel="commentary",
                recipient=f"functions.{name}",
                content_type="<|constrain|>json",
                recipient_in=order,
            )
        )
        self.messages.append(tool_result(f"functions.{name}", result))

    # -- turns

    def sum_turn(self, item: Sum) -> None:
        self.messages.append(user(item.question))
        self.think(reasoning.about_sum(item, self.effort, self.rng))
        self.call("calculator", json.dumps({"expression": item.expression}), item.result)
        self.think(reasoning.about_result(item.result, False, self.effort, self.rng))
        self.answer(tell_sum(item, self.rng))

    def _next_need(self) -> Need:
        """A new request, or one that leans on the last ("And in Rome?")."""
        if self.last_need is not None and self.rng.random() < 0.6:
            again = follow_up_need(self.last_need, self.rng)
            if again is not None:
                return again
        return need(self.rng.choice(self.tools), self.rng)

    def tool_turn(self, item: Need) -> None:
        self.messages.append(user(item.request))
        self._tool_steps(item)
        self.last_need = item

    def _tool_steps(self, item: Need) -> None:
        rng = self.rng
        result, told, failed = result_of(item, rng)
        others = len(self.tools) - 1 + self.has_calculator
        self.think(reasoning.about_call(item, others, self.effort, rng))
        self.call(item.tool.spec.name, item.arguments, result)
        self.think(reasoning.about_result(result, failed, self.effort, rng))
        self.answer(told)

    def talk_turn(self) -> None:
        talk = self.rng.choice(self.talks)
        self.messages.append(user(talk.question))
        has_tools = bool(self.tools) or self.has_calculator
        self.think(reasoning.about_talk(talk.question, has_tools, self.effort, self.rng))
        self.answer(talk.answer)
        self.talk = talk

    def persona_turn(self) -> None:
        names = [tool.spec.name for tool in self.tools] + ["calculator"] * self.has_calculator
        question, answer = persona.exchange(self.rng, names)
        self.messages.append(user(question))
        self.think(reasoning.about_talk(question, bool(names), self.effort, self.rng))
        self.answer(answer)

    def refuse_turn(self) -> None:
        """Something only a tool could know, and no tool for it."""
        missing = invent_tool(self.rng)
        names = {tool.action.about for tool in self.tools}
        if missing.action.about in names:
            self.persona_turn()
            return
        self.messages.append(user(need(missing, self.rng).request))
        self.think(_no_tool_thought(self.effort, self.rng))
        self.answer(self.rng.choice(_NO_TOOL))

    def turn(self, kind: Kind, before: Sum | None = None) -> Sum | None:
        """One turn of `kind`; returns the sum it was about, if it was."""
        if kind == "sum":
            item = follow_up(before, self.rng) if before and self.rng.random() < 0.6 else invent_sum(self.rng)
            self.sum_turn(item)
            return item
        if kind == "tool":
            self.tool_turn(self._next_need())
        elif kind == "talk" and self.talks:
            self.talk_turn()
        elif kind == "refuse":
            self.refuse_turn()
        else:
            self.persona_turn()
        return None


def _possible(author: Author) -> list[Kind]:
    kinds: list[Kind] = ["talk", "persona"]
    if author.has_calculator:
        kinds.extend(("sum", "sum"))
    if author.tools:
        kinds.extend(("tool", "tool"))
    return kinds


def invent_example(index: int, talks: Sequence[Talk], *, seed: int = 1, held_out: bool = False) -> Example:
    """Example number `index`; `held_out` draws on the tools and arguments that training never shows."""
    rng = Random(f"{seed}/{index}/{held_out}")
    kind = rng.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
    author = Author(rng, talks, kind, held_out)
    author.choose_tools()
    author.open()
    before: Sum | None = None
    history = rng.choices((0, 1, 2), weights=(80, 15, 5))[0]
    for _ in range(history):
        before = author.turn(rng.choice(_possible(author)), before)
    if kind == "sum" and history and before is None and rng.random() < 0.5:
        before = author.turn("sum")
    author.talk = None
    start = len(author.messages) + 1
    author.turn(kind, before)
    return Example(kind, author.effort, Conversation(tuple(author.messages)), start, author.talk)


_NO_TOOL = (
    "I have no tool for that, so I cannot do it here.",
    "Sorry, I can't do that: none of my tools can.",
    "I can't look that up or do it, because I have no tool for it.",
    "That needs a tool that I do not have.",
)


def _no_tool_thought(effort: Effort, rng: Random) -> str:
    if effort == "low":
        return rng.choice(("No tool for this; say so.", "I cannot do this."))
    start = "This would need a tool, and none of those I have can do it."
    if effort == "medium":
        return f"{start} I say so instead of inventing an answer."
    return (
        f"{start} Let me look again at what there is. No, nothing fits. "
        "I could make something up, but that would be wrong. "
        "It is better to say plainly that I cannot. I will keep it short."
    )
