"""How a conversation is computed never changes what comes out: token ids and logits, bit for bit.

A three-turn conversation with a tool call is replayed through every combination of {cold, prefix hit,
preempted} × {chunks of 1, 7, 64, whole} × {alone, in a batch of 8} × {1, 2 threads}.
"""

import itertools

import numpy as np
import pytest

from ossia.engine import EngineOptions, build_engine
from ossia.kernels import cpu
from ossia.model.sampling import SamplingParams

END, CALL, ANSWER = 3, 4, 14  # the end of a message, of a call, and how many tokens a turn answers
SAMPLING = SamplingParams(
    max_tokens=ANSWER,
    temperature=0.9,
    top_p=0.95,
    presence_penalty=0.3,
    seed=7,
    boundary_ids=frozenset({END}),
)
ALONE = {"prefix_cache": False, "max_sequences": 1}


def text(seed, length):
    """A message's body: ids that are no markers."""
    return np.random.default_rng(seed).integers(10, 160, length).tolist()


def drain(engine):
    while engine.has_work:
        engine.step()


class Recorder:
    """Keeps the logits of watched sequences, by position."""

    def __init__(self):
        self.watched, self.logits = None, {}

    def __call__(self, sequence, logits):
        if sequence is self.watched:
            self.logits[sequence.num_tokens] = logits.copy()


def answer(engine, recorder, prompt, *, crowd=(), preempt_at=()):
    """Tokens and logits (ANSWER, V) of one turn, with other requests around it and preemptions on the way."""
    for other in crowd[:3]:
        engine.submit(other, SamplingParams(max_tokens=25, seed=1))
    sequence = engine.submit(prompt, SAMPLING)
    for other in crowd[3:]:
        engine.submit(other, SamplingParams(max_tokens=25, seed=1))
    recorder.watched, recorder.logits = sequence, {}
    todo = list(preempt_at)
    while engine.has_work:
        engine.step()
        if todo and len(sequence.output_ids) >= todo[0]:
            engine.preempt(sequence)
            todo.pop(0)
    assert sequence.preemptions == len(preempt_at)
    positions = range(len(prompt), len(prompt) + ANSWER)
    return sequence, np.array([recorder.logits[p] for p in positions])


@pytest.fixture(scope="session")
def conversation(models):
    """numerics → [(prompt, answer ids, logits)] of three turns, each computed cold, whole, alone."""

    def turns(numerics):
        before = cpu.current()
        cpu.configure(before.isa, 1)
        done, prompt = [], [*text(1, 130), END, *text(2, 40), END, 5]  # system, user, "assistant"
        for _ in range(3):
            recorder = Recorder()
            options = EngineOptions(max_batch_tokens=1024, kv_bytes=4 << 20, **ALONE)
            engine = build_engine(*models[numerics], options, observer=recorder)
            sequence, logits = answer(engine, recorder, prompt)
            done.append((prompt, sequence.output_ids, logits))
            prompt = _next_prompt(done)
        cpu.configure(before.isa, before.threads)
        return done

    return {numerics: turns(numerics) for numerics in models}


def _next_prompt(done):
    prompt, ids, _ = done[-1]
    if len(done) == 1:  # reasoning and a call: the reasoning stays while the tool answers
        return [*prompt, *ids[:-1], CALL, *text(3, 30), END, 5]
    first = done[0][0]  # a final answer: the reasoning behind it is dropped
    return [*first, *ids[5:-1], END, *text(4, 25), END, 5]


MODES = ("cold", "hit", "preempted")
CHUNKS = (1, 7, 64, None)
EVERYTHING = list(itertools.product(("q8", "bf16", "f32"), MODES, CHUNKS, ("alone", "batch"), (1, 2)))


@pytest.mark.parametrize(("numerics", "mode", "chunk", "company", "n_threads"), EVERYTHING)
def test_replay(engine_of, conversation, threads, numerics, mode, chunk, company, n_threads):
    threads(n_threads)
    recorder = Recorder()
    engine = engine_of(numerics, recorder, max_chunk=chunk, prefix_cache=mode == "hit")
    crowd = [text(100 + i, 20 * i + 3) for i in range(7)] if company == "batch" else ()
    cached = []
    for prompt, ids, logits in conversation[numerics]:
        sequence, seen = answer(
            engine, recorder, prompt, crowd=crowd, preempt_at=(0, 9) if mode == "preempted" else ()
        )
        assert sequence.output_ids == ids
        assert np.array_equal(seen.view(np.uint32), logits.view(np.uint32))
        cached.append(sequence.cached_tokens)
    first, second, _ = (len(prompt) for prompt, _, _ in conversation[numerics])
    assert second > first + ANSWER
    # The call goes on where it was sampled; the turn after the answer, where the first prompt ended.
    assert cached == ([0, first + ANSWER - 1, first] if mode == "hit" else [0, 0, 0])


@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
def test_prefill_equals_decode(engine_of, conversation, numerics):
    """The logits decode computed one token at a time are those of one prefill over the same tokens."""
    for prompt, ids, logits in conversation[numerics]:
        for done in range(1, ANSWER):
            recorder = Recorder()
            engine = engine_of(numerics, recorder, **ALONE)
            recorder.watched = engine.submit([*prompt, *ids[:done]], SamplingParams(max_tokens=1))
            engine.step()
            (seen,) = recorder.logits.values()
            assert np.array_equal(seen.view(np.uint32), logits[done].view(np.uint32))


def test_the_conversation_is_worth_replaying(conversation):
    """It crosses windows and blocks, and numerics differ: what the replay compares is not constant."""
    prompts = [len(prompt) for prompt, _, _ in conversation["q8"]]
    assert min(prompts) > 2 * 64
    assert len({tuple(ids) for _, ids, _ in conversation["q8"]}) == 3
    assert not np.array_equal(conversation["q8"][0][2], conversation["bf16"][0][2])
    assert not np.array_equal(conversation["f32"][0][2], conversation["bf16"][0][2])
