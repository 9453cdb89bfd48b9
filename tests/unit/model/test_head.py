"""The head's answers, one native step for all rows, against `sample` on each row's logits."""

import numpy as np
import pytest

from ossia.errors import InputError
from ossia.kernels import ops
from ossia.kernels.asked import Screen
from ossia.kernels.head import screen
from ossia.kernels.tensors import Activation, Matrix, pack_matrix
from ossia.model.head import Head
from ossia.model.sampling import Ask, SamplingParams, Token, TokenHistory, sample

VOCAB, WIDTH, ROWS = 3000, 512, 4


class Some:
    """A mask that allows what its seed says."""

    finished = False

    def __init__(self, seed, share):
        self.allowed = np.random.default_rng(seed).random(VOCAB) < share

    def mask(self, out):
        out[:] = self.allowed

    def advance(self, ids): ...

    def forced(self):
        return []

    def rollback(self, n): ...


@pytest.fixture(scope="module")
def weight():
    values = 0.05 * np.random.default_rng(1).standard_normal((VOCAB, WIDTH))
    return pack_matrix(values.astype(np.float32), "q8")


@pytest.fixture
def screened(weight):
    planes, found = screen(Matrix("q8", weight.data.copy(), weight.scales.copy()))
    return planes, Screen(found.gain, found.doubtful, 8)


class Stepper:
    """Runs a head as the transformer does, recording anew only when told to."""

    def __init__(self, head, rows=ROWS):
        self.head, self.programs = head, {}
        self.hidden = Activation.empty(rows, WIDTH, "q8")
        self.x = np.zeros((rows, WIDTH), np.float32)

    def step(self, x, asks):
        n = len(asks)
        self.x[:n] = x
        if self.head.ask(asks):
            self.programs.clear()
        if n not in self.programs:
            p = self.programs[n] = ops.Program()
            ops.quantize(p, self.x[:n], self.hidden.head(n))
            self.head.record(p, self.hidden.head(n))
        self.programs[n].run()
        return self.head.answers(asks)


KINDS = [
    {},
    {"temperature": 0},
    {"temperature": 0.7, "mask": Some(1, 0.02)},
    {"temperature": 0, "mask": Some(2, 0.97)},
    {"logit_bias": {7: 3.0, 2999: -100.0, 5: 0.5}},
    {"repetition_penalty": 1.3, "frequency_penalty": 0.4, "presence_penalty": 0.2, "logit_bias": {3: 1.0}},
    {"temperature": 0, "repetition_penalty": 0.8, "mask": Some(3, 0.5)},
    {"top_p": 0.9, "mask": Some(4, 0.5)},
    {"top_k": 20, "logprobs": 3, "presence_penalty": 1.0},
    {"temperature": 0, "logprobs": 0},
    {"temperature": 1e-38},
    {"temperature": 100},
]


@pytest.mark.parametrize("planes", [False, True])
def test_answers_are_what_sample_gives(planes, weight, screened):
    rng = np.random.default_rng(5)
    stepper = Stepper(Head(*(screened if planes else (weight, None)), ROWS))
    whole = Stepper(Head(weight, None, ROWS))
    by_few = 0
    for i in range(120):
        n = 1 + i % ROWS
        x = rng.standard_normal((n, WIDTH))
        asks = [
            Ask(
                SamplingParams(**KINDS[int(rng.integers(len(KINDS)))]),
                100 + i,
                int(rng.integers(2**63)),
                TokenHistory(rng.integers(0, VOCAB, 50).tolist(), rng.integers(0, VOCAB, 20).tolist()),
            )
            for _ in range(n)
        ]
        logits = whole.step(x, [None] * n)
        assert stepper.step(x, asks) == [
            sample(row, a.params, position=a.position, seed=a.seed, history=a.history)
            for row, a in zip(logits, asks, strict=True)
        ]
        by_few += (stepper.head.rescored[:n] > 0).sum()
    assert (by_few > 20) == planes


def test_logits_stand_beside_choices(weight, screened):
    x = np.random.default_rng(2).standard_normal((2, WIDTH))
    logits = Stepper(Head(weight, None, ROWS)).step(x, [None, None])
    stepper = Stepper(Head(*screened, ROWS))
    first, second = stepper.step(x, [Ask(SamplingParams(temperature=0), 0, 0), None])
    assert first == Token(int(logits[0].argmax()))
    assert (second == logits[1]).all()
    assert (stepper.head.logits(2)[1] == logits[1]).all()


def test_a_grammar_without_a_way_out_is_an_error_of_its_row_alone(weight):
    stepper = Stepper(Head(weight, None, ROWS))
    x = np.random.default_rng(3).standard_normal((2, WIDTH))
    for extra in ({}, {"top_p": 0.5}):
        dead = Ask(SamplingParams(mask=Some(0, 0.0), **extra), 17, 0)
        error, token = stepper.step(x, [dead, Ask(SamplingParams(), 18, 0)])
        assert isinstance(error, InputError)
        assert "no token at position 17" in str(error)
        assert isinstance(token, Token)


def test_what_is_no_number_is_our_own_fault(weight):
    stepper = Stepper(Head(weight, None, ROWS))
    x = np.full((1, WIDTH), np.nan)
    for params in (SamplingParams(), SamplingParams(temperature=0), SamplingParams(top_k=2)):
        with pytest.raises(AssertionError, match="NaN logits at position 3"):
            stepper.step(x, [Ask(params, 3, 0)])


def test_buffers_grow_with_edits_and_rows(weight):
    head = Head(weight, None, 2)
    penalised = SamplingParams(temperature=0, presence_penalty=1.0)
    many = Ask(penalised, 0, 0, TokenHistory(range(VOCAB), range(0, VOCAB, 2)))
    assert head.ask([many])
    assert not head.ask([many, None])
    assert head.ask([None] * 20)
    stepper = Stepper(head, 20)
    x = np.random.default_rng(4).standard_normal((20, WIDTH))
    logits = [row.copy() for row in stepper.step(x, [None] * 20)]
    row = logits[0].copy()
    row[::2] -= 1
    assert stepper.step(x[:1], [many]) == [Token(int(row.argmax()))]
