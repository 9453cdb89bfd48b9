"""What the model thinks before it acts, in three distinct lengths: one short sentence, two or three, five
to eight.
"""

import json
from random import Random
from typing import Any

from ossia.harmony.messages import Effort
from ossia.posttrain.data.sums import Sum
from ossia.posttrain.data.toolbox import Need


def _join(parts: list[str]) -> str:
    return " ".join(part for part in parts if part)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in values.items())


def about_call(need: Need, others: int, effort: Effort, rng: Random) -> str:
    """Before a tool call."""
    name, values = need.tool.spec.name, need.values
    arguments = _listed(values) if values else "no arguments"
    if effort == "low":
        return rng.choice(
            (f"Call {name} with {arguments}.", f"Use {name}: {arguments}.", f"{name} with {arguments}.")
        )
    opening = rng.choice(
        (
            f"The user says: {need.request}",
            f"The request is: {need.request}",
            f"They want this: {need.request}",
        )
    )
    fits = rng.choice((f"The tool {name} does this.", f"{name} fits.", f"There is a tool for that, {name}."))
    act = rng.choice(
        (f"I call it with {arguments}.", f"The arguments are {arguments}.", f"So I use {arguments}.")
    )
    if effort == "medium":
        return _join([opening, fits, act] if rng.random() < 0.6 else [fits, act])
    left_out = [argument for argument in need.tool.arguments if argument not in values]
    each = [
        rng.choice(
            (f"For {argument}, the user says {_shown(value)}.", f"{argument} should be {_shown(value)}.")
        )
        for argument, value in values.items()
    ]
    return _join(
        [
            opening,
            rng.choice(
                ("Do I need a tool?", "Can I answer this alone?", "Let me think about what is needed.")
            )
            + rng.choice(
                (
                    " I cannot know or do this by myself, so yes.",
                    " This needs a tool.",
                    " A tool has to do it.",
                )
            ),
            rng.choice((f"Of the {others + 1} tools, {name} fits best.", fits)) if others else fits,
            *(each or [f"{name} takes nothing that I must fill in."]),
            f"Nothing was said about {', '.join(left_out)}, so I leave it out."
            if left_out
            else "Everything it needs was said.",
            rng.choice(
                (
                    "Check: the names match the definition and the values have the right types.",
                    "Check: I copied the values exactly as given.",
                )
            ),
            rng.choice(("Now I make the call.", f"So I call {name}.", "I will call it now.")),
        ]
    )


def about_sum(item: Sum, effort: Effort, rng: Random) -> str:
    """Before a calculation."""
    expression = item.expression
    if effort == "low":
        return rng.choice(
            (
                f"Calculate {expression}.",
                f"Use the calculator for {expression}.",
                f"{expression}: calculator.",
            )
        )
    opening = rng.choice(
        (f"The user asks: {item.question}", f"I need {item.words}.", f"This is arithmetic: {item.words}.")
    )
    tool = rng.choice(
        (
            "The calculator gives the exact value.",
            "I use the calculator to be exact.",
            "I should not guess; the calculator can do it.",
        )
    )
    act = rng.choice((f"The expression is {expression}.", f"I will calculate {expression}."))
    if effort == "medium":
        return _join([opening, act, tool] if rng.random() < 0.6 else [act, tool])
    return _join(
        [
            f"The user asks: {item.question}",
            rng.choice(
                (
                    "First I find out which numbers matter.",
                    "What has to be computed here?",
                    "Let me read it carefully.",
                )
            ),
            f"In short it is {item.words}."
            if item.words != expression
            else "The numbers are all in the question.",
            f"Written as an expression, this is {expression}.",
            rng.choice(
                (
                    "I am not reliable at arithmetic by myself.",
                    "Doing it in my head could go wrong.",
                    "A guess would not be good enough.",
                )
            ),
            tool,
            rng.choice(
                (
                    "Check: every number in the expression is copied digit by digit.",
                    "Check: the operation matches the words of the question.",
                )
            ),
            rng.choice(("Now I call it.", "So I call the calculator.", "I make the call.")),
        ]
    )


def about_result(result: str, failed: bool, effort: Effort, rng: Random) -> str:
    """After a tool has answered, before the final."""
    short = result if len(result) <= 60 else result[:57].rsplit(" ", 1)[0] + " …"
    if effort == "low":
        return (
            "It failed; say so."
            if failed
            else rng.choice(("Give the result.", "Now answer.", "Done; report it."))
        )
    state = rng.choice((f"The tool answered: {short}", f"The result is {short}", f"I got {short}"))
    state += "" if state.endswith((".", "…", "!")) else "."
    if failed:
        rest = rng.choice(
            (
                "That is an error, so I tell the user what went wrong.",
                "The call failed. I should say so and not invent a result.",
            )
        )
    else:
        rest = rng.choice(
            ("I can answer now.", "That is what the user wanted.", "I pass it on in a short sentence.")
        )
    if effort == "medium":
        return _join([state, rest])
    return _join(
        [
            state,
            rng.choice(("Does this answer the question?", "Let me check it against the question.")),
            "No: it is an error."
            if failed
            else rng.choice(("Yes, it is what was asked for.", "Yes, nothing is missing.")),
            rest,
            rng.choice(("I must not add anything the tool did not say.", "I keep to what the tool said.")),
            "Another call is not needed." if not failed else "Trying the same again would not help.",
            rng.choice(("I will keep the answer short.", "One or two sentences are enough.")),
        ]
    )


def about_talk(question: str, has_tools: bool, effort: Effort, rng: Random) -> str:
    """Before an answer that needs no tool."""
    if effort == "low":
        words = ["Answer directly.", "A plain question; answer it.", "Just reply.", "Simple; reply directly."]
        return rng.choice([*words, "No tool needed."] if has_tools else words)
    short = question if len(question) <= 110 else question[:107].rsplit(" ", 1)[0] + " …"
    opening = rng.choice((f"The user says: {short}", f"The message is: {short}", f"They write: {short}"))
    tools = (
        rng.choice(("No tool is needed for this.", "The tools do not help here.", "This needs no tool."))
        if has_tools
        else ""
    )
    plan = rng.choice(
        (
            "I can answer from what I know.",
            "I will answer in plain words.",
            "A friendly, clear reply is best.",
            "I give a helpful answer.",
        )
    )
    if effort == "medium":
        return _join([opening, tools, plan])
    return _join(
        [
            opening,
            rng.choice(
                ("What do they need?", "What is the point of this?", "Let me think about what would help.")
            ),
            rng.choice(
                (
                    "They want a clear answer they can use.",
                    "They expect a direct reply to this.",
                    "A good reply stays with what was asked.",
                )
            ),
            tools,
            plan,
            rng.choice(
                (
                    "I should be careful not to claim what I do not know.",
                    "I say only what I am fairly sure of.",
                )
            ),
            rng.choice(
                (
                    "I keep it well ordered and easy to read.",
                    "The main point comes first.",
                    "Plain language is best.",
                )
            ),
            rng.choice(("Check: this answers the message.", "Check: it is polite and to the point.")),
        ]
    )
