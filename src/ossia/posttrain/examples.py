"""Examples as token ids: what is context, what is learnt, and which tokens come with the base's soft
targets.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from numpy.typing import NDArray

from ossia.harmony.messages import Conversation
from ossia.harmony.render import drop_finished_analysis, render_conversation, render_message
from ossia.posttrain.data.scenarios import Example, Talk
from ossia.posttrain.samples import TOP, Sample
from ossia.tokenizer import Tokenizer

_FIRST_MARKER = 3  # below are the base's <|endoftext|>, <|im_start|> and <|im_end|>


@dataclass(frozen=True, slots=True)
class Encoded:
    """One training sequence: `ids` (n,) and, for each position, what the next token should be.

    `weights` (n,): 0 where nothing is learnt. `top_ids`, `top_probs` (n, TOP): the target distribution; a
    plain target has its whole mass in the first column.
    """

    ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    top_ids: NDArray[np.int32]
    top_probs: NDArray[np.float32]


def talks_of(samples: list[Sample], tokenizer: Tokenizer, stop_ids: frozenset[int]) -> list[Talk]:
    """The stored answers that are worth keeping: finished, not too long, and about nobody's identity."""
    found: list[Talk] = []
    for index, sample in enumerate(samples):
        if sample.kind != "chat" or int(sample.ids[-1]) not in stop_ids or len(sample.ids) < 4:
            continue
        answer = tokenizer.decode(sample.ids[:-1].tolist())
        unwanted = ("SmolLM", "Hugging", "OpenAI", "ChatGPT", "GPT", "<|")
        if answer == answer.strip() and not any(word in answer for word in unwanted):
            found.append(Talk(sample.prompt, answer, index))
    return found


def encode_example(example: Example, samples: list[Sample], tokenizer: Tokenizer) -> Encoded:
    """Ids as inference would see and sample them: each final ends in <|return|>, never <|end|>."""
    builder = _Builder()
    marks = tokenizer.markers
    messages = example.conversation.messages
    builder.context(_context(example, tokenizer))
    for message in messages[example.start :]:
        ids = render_message(message, tokenizer)
        if message.role != "assistant":
            builder.context(ids)
            continue
        prefix = 1 + len(tokenizer.encode("assistant"))
        follows = builder.follows_sampled
        builder.add(ids[:prefix], 1.0 if follows else 0.0)
        if message.channel == "final":
            body = ids[prefix:-1]
            if example.talk is not None:
                builder.talk(body, samples[example.talk.index], marks.message, marks.return_)
            else:
                builder.add(body, 1.0)
            builder.add([marks.return_], 1.0)
        else:
            builder.add(ids[prefix:], 1.0)
        builder.follows_sampled = message.channel == "analysis"
    return builder.done()


def _context(example: Example, tokenizer: Tokenizer) -> list[int]:
    context = drop_finished_analysis(example.conversation.messages[: example.start])
    return render_conversation(Conversation(context), tokenizer)


def encode_text(sample: Sample, rng: Random) -> Encoded:
    """Plain text of the base, to be said again with the same probabilities.

    Half of the time a little is cut off at the start, since text need not begin where a document does.
    """
    builder = _Builder()
    prompt = sample.prompt_ids.tolist()
    builder.context(prompt[rng.randint(1, len(prompt)) :] if rng.random() < 0.5 else prompt)
    builder.soft(sample.ids.tolist(), sample)
    return builder.done()


class _Builder:
    """Collects (token, weight of learning it, its distribution) and shifts them by one at the end."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._weights: list[float] = []
        self._soft: list[tuple[int, Sample, int]] = []  # position, sample, index in the sample
        self.follows_sampled = False

    def add(self, ids: list[int], weight: float) -> None:
        self._ids.extend(ids)
        self._weights.extend([weight] * len(ids))

    def context(self, ids: list[int]) -> None:
        self.add(ids, 0.0)
        self.follows_sampled = False

    def soft(self, ids: list[int], sample: Sample) -> None:
        start = len(self._ids)
        self.add(ids, 1.0)
        self._soft.extend((start + i, sample, i) for i in range(min(len(ids), len(sample.ids))))

    def talk(self, body: list[int], sample: Sample, message_id: int, return_id: int) -> None:
        """`body` is the rest of the header, <|message|>, and an answer whose tokens `sample` holds.

        Where the base might have ended its answer (ids below 3 are its stops), Harmony's is <|return|>.
        """
        cut = body.index(message_id) + 1
        self.add(body[:cut], 1.0)
        answer = body[cut:]
        if answer == sample.ids[:-1].tolist():
            stops = sample.top_ids < _FIRST_MARKER
            self.soft(answer, replace(sample, top_ids=np.where(stops, return_id, sample.top_ids)))
        else:
            self.add(answer, 1.0)

    def done(self) -> Encoded:
        ids = np.array(self._ids, np.int32)
        top_ids = np.zeros((len(ids), TOP), np.int32)
        top_probs = np.zeros((len(ids), TOP), np.float32)
        top_ids[:, 0], top_probs[:, 0] = ids, 1.0
        for position, sample, index in self._soft:
            probs = np.exp(sample.top_logprobs[index].astype(np.float32))
            top_ids[position], top_probs[position] = sample.top_ids[index], probs / probs.sum()
        weights = np.array(self._weights, np.float32)
        # Position t predicts token t + 1; the last position predicts nothing.
        return Encoded(ids[:-1], weights[1:], top_ids[1:], top_probs[1:])


def packed(batch: list[Encoded], max_tokens: int) -> Iterator[list[Encoded]]:
    """Split a batch into groups of similar length with at most `max_tokens` padded positions."""
    ordered = sorted(batch, key=lambda item: len(item.ids))
    group: list[Encoded] = []
    for item in ordered:
        if group and (len(group) + 1) * len(item.ids) > max_tokens:
            yield group
            group = []
        group.append(item)
    if group:
        yield group
