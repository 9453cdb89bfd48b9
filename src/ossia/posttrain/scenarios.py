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
from ossia.posttrain import persona, reasoning
from ossia.posttrain.sums import Sum, follow_up, invent_sum
from ossia.posttrain.toolbox import Invented, Need, city, invent, invented_name, need, person
from ossia.tools.calculator import calculator

IDENTITY = "You are Ossia's pocket model, a small language model."
CALCULATOR = calculator().spec
Kind = Literal["sum", "tool", "talk", "persona", "refuse"]
_WEIGHTS: dict[Kind, int] = {"sum": 27, "tool": 40, "talk": 24, "persona": 7, "refuse": 2}
_INSTRUCTIONS = (
    "Be brief.", "You are a helpful assistant.", "Answer in plain words.", "Be friendly.", "Always be polite.",
    "Use the tools when they help.", "You help the staff of a small office.", "Keep answers short and clear.",
    "You are a travel assistant.", "You help people at home.", "Answer in one or two sentences.", "You support a software team.",
)  # fmt: skip


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

    # -- frame

    def choose_tools(self) -> None:
        """Which tools are declared, before anything is said."""
        rng = self.rng
        if self.kind == "tool":
            count = rng.choices((1, 2, 3, 4, 5), weights=(42, 27, 16, 9, 6))[0]
        else:
            count = rng.choices((0, 1, 2, 3), weights=(58, 22, 13, 7))[0]
        while len(self.tools) < count:
            found = invent(rng, held_out=self.held_out)
            known = {tool.action.about for tool in self.tools} | {tool.spec.name for tool in self.tools}
            if found.action.about not in known and found.spec.name not in known:
                self.tools.append(found)
            elif self.held_out and rng.random() < 0.3:
                break
        chance = {"sum": 1.0, "tool": 0.3, "talk": 0.4, "persona": 0.4, "refuse": 0.3}[self.kind]
        self.has_calculator = rng.random() < chance
        if self.kind in ("talk", "persona") and rng.random() < 0.3:
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
            )  # fmt: skip
        )
        self.messages.append(tool_result(f"functions.{name}", result))

    # -- turns

    def sum_turn(self, item: Sum) -> None:
        self.messages.append(user(item.question))
        self.think(reasoning.about_sum(item, self.effort, self.rng))
        self.call("calculator", json.dumps({"expression": item.expression}), item.result)
        self.think(reasoning.about_result(item.result, False, self.effort, self.rng))
        self.answer(_tell_sum(item, self.rng))

    def tool_turn(self, item: Need) -> None:
        self.messages.append(user(item.request))
        self._tool_steps(item)

    def _tool_steps(self, item: Need) -> None:
        rng = self.rng
        result, told, failed = _result_of(item, rng)
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
        missing = invent(self.rng)
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
            self.tool_turn(need(self.rng.choice(self.tools), self.rng))
        elif kind == "talk" and self.talks:
            self.talk_turn()
        elif kind == "refuse":
            self.refuse_turn()
        else:
            self.persona_turn()
        return None


def _possible(author: Author) -> list[Kind]:
    kinds: list[Kind] = ["talk", "persona"]
    return kinds + ["sum"] * 2 * author.has_calculator + ["tool"] * 2 * bool(author.tools)


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


def _tell_sum(item: Sum, rng: Random) -> str:
    result = item.result
    if len(result) > 18 and "." in result:
        result = result[:8]
        return rng.choice((f"It is about {result}.", f"That is roughly {result}."))
    return rng.choice((
        f"{item.words} is {result}.", f"The answer is {result}.", f"It is {result}.", f"That is {result}.", f"The result is {result}.",
        f"{item.expression} = {result}", f"{result}", f"That makes {result}.", f"**{result}**", f"You get {result}.",
    ))  # fmt: skip


_CONDITIONS = ("sunny", "cloudy", "light rain", "snow", "windy", "fog", "clear")
_FAILURES = (
    "error: not found", "error: timeout", "Error: permission denied", "error: no connection", '{"error": "not available"}',
    "error: invalid value", "failed: service is down", "error: nothing found", "error: no such entry",
)  # fmt: skip


def _result_of(item: Need, rng: Random) -> tuple[str, str, bool]:
    """What the tool answers, how it is told to the user, and whether it failed."""
    if rng.random() < 0.1:
        failure = rng.choice(_FAILURES)
        reason = failure.split(":", 1)[1].strip(' "}')
        told = rng.choice((
            f"Sorry, that did not work: {reason}.", f"The tool reported an error: {reason}.", f"I could not do that. It failed with: {reason}.",
        ))  # fmt: skip
        return failure, told, True
    result, told = _SUCCESS[rng.choice(item.tool.action.results)](item, rng)
    return result, told, False


def _ok(item: Need, rng: Random) -> tuple[str, str]:
    reference = f"{rng.choice('ABCDEFGH')}{rng.randint(100, 9999)}"
    said = next((str(value) for value in item.values.values() if isinstance(value, str)), "")
    about = f" ({said})" if said and rng.random() < 0.5 else ""
    return rng.choice((
        ("ok", f"Done{about}."), ("done", f"All done{about}."), ('{"status": "ok"}', f"That worked{about}."),
        ('{"success": true}', f"It is done{about}."), (f'{{"status": "ok", "id": "{reference}"}}', f"Done. The reference is {reference}."),
        (f"Created with number {reference}", f"It has been created with the number {reference}."),
        ("true", f"Done{about}."), ("", f"Done{about}."),
    ))  # fmt: skip


def _weather(item: Need, rng: Random) -> tuple[str, str]:
    degrees, sky = rng.randint(-12, 38), rng.choice(_CONDITIONS)
    where = next((str(v) for k, v in item.values.items() if item.tool.arguments[k] == "city"), "there")
    where = where if where == "there" else f"in {where}"
    return rng.choice((
        (f'{{"temperature": {degrees}, "conditions": "{sky}"}}', f"It is {degrees} degrees {where}, {sky}."),
        (f"{degrees} degrees, {sky}", f"Right now it is {degrees} degrees and {sky} {where}."),
        (f'{{"temp": {degrees}, "sky": "{sky}", "wind": {degrees + 14}}}', f"{degrees} degrees, {sky}, wind {degrees + 14}."),
        (f"{sky}", f"The weather {where}: {sky}."),
    ))  # fmt: skip


def _found(item: Need, rng: Random) -> tuple[str, str]:
    names = [rng.choice((invented_name, city, person))(rng) for _ in range(rng.randint(1, 3))]
    price = rng.randint(9, 900)
    listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
    return rng.choice((
        (json.dumps(names), f"I found {listed}."), (json.dumps({"results": names}), f"Here is what I found: {listed}."),
        ("\n".join(names), f"The results are {listed}."),
        (json.dumps({"name": names[0], "price": price}), f"I found {names[0]} for {price}."),
        (json.dumps([{"name": name} for name in names]), f"There are {len(names)} results: {listed}." if len(names) > 1 else f"There is one: {listed}."),
    ))  # fmt: skip


def _status(item: Need, rng: Random) -> tuple[str, str]:
    state = rng.choice(
        (
            "shipped",
            "pending",
            "delivered",
            "cancelled",
            "running",
            "healthy",
            "on the way",
            "waiting",
            "overloaded",
        )
    )
    return rng.choice((
        (state, f"The status is: {state}."), (f'{{"status": "{state}"}}', f"It is {state}."), (f"Status: {state}", f"Its status is {state}."),
    ))  # fmt: skip


def _number(item: Need, rng: Random) -> tuple[str, str]:
    value = rng.choice((rng.randint(0, 5000), round(rng.uniform(1, 900), 2)))
    return rng.choice((
        (str(value), f"It is {value}."), (f'{{"value": {value}}}', f"The value is {value}."), (f"{value}", f"The result is {value}."),
        (f'{{"result": {value}}}', f"The tool says {value}."),
    ))  # fmt: skip


def _text(item: Need, rng: Random) -> tuple[str, str]:
    words = rng.choice((
        "Meeting moved to Thursday.", "Turn left at the church and go straight on.", "The key is under the mat.", "Version 2 is ready.",
        "Please bring warm clothes.", "All rooms are booked.", "Take the second road on the right.", "It means a small round stone.",
    ))  # fmt: skip
    mark = invented_name(rng)
    return rng.choice((
        (words, f"It says: {words}"), (words, words), (f'{{"text": "{words}"}}', f"Here it is: {words}"), (f"{mark}: {words}", f"{mark}: {words}"),
    ))  # fmt: skip


def _contact(item: Need, rng: Random) -> tuple[str, str]:
    phone = "".join(rng.choice("0123456789") for _ in range(7))
    name = next((str(v) for v in item.values.values()), "The contact")
    return rng.choice((
        (f'{{"phone": "{phone}"}}', f"{name}: {phone}."), (phone, f"The number is {phone}."),
    ))  # fmt: skip


def _clock(item: Need, rng: Random) -> tuple[str, str]:
    now = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
    return rng.choice(((now, f"It is {now}."), (f'{{"time": "{now}"}}', f"The time is {now}.")))


_SUCCESS = {
    "ok": _ok, "weather": _weather, "found": _found, "status": _status, "count": _number, "amount": _number, "text": _text,
    "contact": _contact, "clock": _clock,
}  # fmt: skip

_NO_TOOL = (
    "I have no tool for that, so I cannot do it here.", "Sorry, I can't do that: none of my tools can.",
    "I can't look that up or do it, because I have no tool for it.", "That needs a tool that I do not have.",
)  # fmt: skip


def _no_tool_thought(effort: Effort, rng: Random) -> str:
    if effort == "low":
        return rng.choice(("No tool for this; say so.", "I cannot do this."))
    start = "This would need a tool, and none of those I have can do it."
    if effort == "medium":
        return f"{start} I say so instead of inventing an answer."
    return (
        f"{start} Let me look again at what there is. No, nothing fits. I could make something up, but that would be wrong. "
        "It is better to say plainly that I cannot. I will keep it short."
    )
