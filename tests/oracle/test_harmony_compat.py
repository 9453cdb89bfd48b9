"""openai-harmony's API, the original and the compatible one, over generated conversations.

Every rendering, every message parsed back and every property of the streaming parser must be equal, outside
the differences that `harmony_conversations.py` predicts. A long run, resumable at any seed:

    python tests/oracle/test_harmony_compat.py FIRST END
"""

import json
import random
import runpy
import sys
import time
from collections import Counter
from typing import Any

import openai_harmony as reference
import pytest
from harmony_conversations import (
    GOLDEN,
    Maker,
    parses_alike,
    refused_by_ossia,
    rewritten,
    same_as_theirs,
)

import ossia.harmony.compat as compat
from ossia.harmony.render import render_conversation


def _render(api: Any, render: Any, conversation: Any, role: list[str], drop: bool) -> list[int] | None:
    config = api.RenderConversationConfig(auto_drop_analysis=drop)
    return ids_of(render, conversation, *map(api.Role, role), config)


def ids_of(render: Any, *arguments: Any) -> list[int] | None:
    """The ids, or None where it raises what each library raises for what it cannot render."""
    try:
        return render(*arguments)
    except (RuntimeError, ValueError):
        return None


REASONS = ("drop rule", "header word", "namespace key", "surrogate", "to a role", "to all")


def _first_answer(ids: list[int]) -> int | None:
    """Where the first assistant message goes on after what a prompt would have ended in."""
    heads = [i for i in range(len(ids) - 1) if (ids[i], ids[i + 1]) == (200_006, 173_781)]
    return heads[0] + 2 if heads else None


PROPERTIES = (
    "current_role",
    "current_channel",
    "current_recipient",
    "current_content_type",
    "current_content",
    "last_content_delta",
    "state_data",
    "tokens",
)


class Comparison:
    """Both encodings, and what comparing them has found."""

    def __init__(self) -> None:
        self.theirs = runpy.run_path(str(GOLDEN / "make_words.py"))["load_reference"]()
        self.ours = compat.load_harmony_encoding(compat.HarmonyEncodingName.HARMONY_GPT_OSS)
        self.counts: Counter[str] = Counter()

    def check(self, seed: int) -> None:
        """Compare one conversation in every way; raises AssertionError for an unlisted difference."""
        ours, theirs = (Maker(api, seed).conversation() for api in (compat, reference))
        assert ours.to_dict() == json.loads(json.dumps(self._dict(theirs))), seed
        rng = random.Random(seed)
        role = rng.choice([*["assistant"] * 6, "user", "tool", "system", "developer"])
        self._render(seed, ours, theirs, "for_completion", role, True)
        self._render(seed, ours, theirs, "for_training", None, rng.random() < 0.8)
        ids = self._render(seed, ours, theirs, "", None, False)
        self.counts["conversations"] += 1
        self.counts["messages"] += len(ours.messages)
        self.counts["tokens"] += len(ids or ())
        if ids and seed % 4 == 0:
            self._encode(seed, ids)
        if ids and seed % 4 == 2 and all(len(m.content) == 1 for m in ours.messages):
            self._convert(seed, ids, ours)
        if ours.messages:
            self._render_one(seed, rng.randrange(len(ours.messages)), ours, theirs)
        if ids and all(parses_alike(m) for m in theirs.messages):
            self._parse(seed, ids, None, stream=seed % 20 == 0 and len(ids) < 600)
            start = _first_answer(ids) if seed % 4 == 1 else None
            if start and all(m.recipient == "assistant" for m in theirs.messages if m.author.role == "tool"):
                self._parse(seed, ids[start:], "assistant", stream=seed % 20 == 1 and len(ids) < 600)

    @staticmethod
    def _dict(theirs: Any) -> dict[str, Any]:
        """Their plain values, with the Nones that they forget to write."""
        raw = theirs.to_dict()
        for message, told in zip(theirs.messages, raw["messages"], strict=True):
            for part, values in zip(message.content, told["content"], strict=True):
                if values["type"] == "system_content":
                    for field in ("model_identity", "reasoning_effort", "knowledge_cutoff", "channel_config"):
                        values.setdefault(field, getattr(part, field))
        return raw

    def _render(
        self, seed: int, ours: Any, theirs: Any, way: str, role: str | None, drop: bool
    ) -> list[int] | None:
        name = f"render_conversation_{way}".rstrip("_")
        more = [role] if role else []
        told, reasons = same_as_theirs(theirs, drop, way == "for_training")
        got = _render(compat, getattr(self.ours, name), ours, more, drop)
        plain = _render(reference, getattr(self.theirs, name), theirs, more, drop)
        expected = _render(reference, getattr(self.theirs, name), told, more, False) if reasons else plain
        if "header word" in reasons or "refused by both" in reasons:
            assert got is None, (seed, name, reasons)
            assert "header word" in reasons or plain is None, (seed, name)
        else:
            assert got is not None, (seed, name)
            assert got == expected, (seed, name, reasons)
        self.counts["renders"] += 1
        self.counts["renders that differ"] += got != plain
        assert got == plain or reasons, (seed, name)
        for reason in reasons if got != plain else ():
            self.counts[reason] += 1
        return got if got == plain else None

    def _render_one(self, seed: int, at: int, ours: Any, theirs: Any) -> None:
        reasons: set[str] = set()
        message = theirs.messages[at]
        told = rewritten(message, reasons)
        functions = random.Random(seed + 1).random() < 0.5
        got = ids_of(
            self.ours.render,
            ours.messages[at],
            compat.RenderOptions(conversation_has_function_tools=functions),
        )
        expected = ids_of(
            self.theirs.render, told, reference.RenderOptions(conversation_has_function_tools=functions)
        )
        assert got == (None if refused_by_ossia(message) else expected), (seed, at)

    def _encode(self, seed: int, ids: list[int]) -> None:
        text = self.ours.decode_utf8(ids)
        assert text == self.ours.decode(ids) == self.theirs.decode_utf8(ids), seed
        for special in ({"allowed_special": "all"}, {"disallowed_special": ()}):
            assert self.ours.encode(text, **special) == self.theirs.encode(text, **special), seed
        self.counts["texts"] += 1

    def _convert(self, seed: int, ids: list[int], ours: Any) -> None:
        """Ossia's own types render to the same ids, and come back as they were."""
        there = compat.conversation_to_ossia(ours)
        assert render_conversation(there, self.ours.tokenizer, drop_analysis=False) == ids, seed
        assert compat.conversation_to_ossia(compat.conversation_from_ossia(there)) == there, seed
        self.counts["conversions"] += 1

    def _parse(self, seed: int, ids: list[int], role: str | None, *, stream: bool) -> None:
        ours = self.ours.parse_messages_from_completion_tokens(ids, role and compat.Role(role))
        theirs = self.theirs.parse_messages_from_completion_tokens(ids, role and reference.Role(role))
        assert [m.to_dict() for m in ours] == [m.to_dict() for m in theirs], seed
        self.counts["parses"] += 1
        self.counts["streams"] += stream
        parsers = [
            api.StreamableParser(encoding, role and api.Role(role))
            for api, encoding in ((compat, self.ours), (reference, self.theirs))
        ]
        for at, i in enumerate(ids if stream else ()):
            mine, its = (parser.process(i) for parser in parsers)
            for name in PROPERTIES:
                assert getattr(mine, name) == getattr(its, name), (seed, at, name)
            assert mine.state.value == its.state.value, (seed, at)
            if its.state_data["state"] == "ExpectStart":
                assert [m.to_dict() for m in mine.messages] == [m.to_dict() for m in its.messages], seed


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return Comparison()


def test_generated_conversations_render_and_parse_alike(comparison: Comparison) -> None:
    """A draw; the 100,000 are a run of this file."""
    for seed in range(800):
        comparison.check(seed)
    counts = comparison.counts
    assert counts["renders that differ"] < counts["renders"] / 2
    assert all(counts[reason] for reason in REASONS), counts


DOCS = runpy.run_path(str(GOLDEN.parent / "unit" / "harmony" / "test_compat_docs.py"))


@pytest.mark.parametrize("number", range(len(DOCS["CASES"])))
def test_examples_say_what_happens_there(comparison: Comparison, number: int) -> None:
    prelude = DOCS["PRELUDE"].replace("from ossia.harmony.compat", "from openai_harmony")
    prelude = prelude.replace("\nenc = load_harmony_encoding", "\n# ")
    assert DOCS["outcome"](number, prelude, enc=comparison.theirs) == DOCS["CASES"][number][2]


def _main(first: int, end: int) -> None:
    comparison, begun = Comparison(), time.monotonic()
    for seed in range(first, end):
        comparison.check(seed)
        if (seed + 1 - first) % 5000 == 0 or seed + 1 == end:
            print(f"seeds {first} to {seed} in {time.monotonic() - begun:.0f} s", flush=True)
    for name, count in comparison.counts.items():
        print(f"{name:>24} {count:>12,}")


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
