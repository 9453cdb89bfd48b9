import numpy as np
import pytest

from ossia.engine.scheduler import Chunk
from ossia.engine.sequence import new_sequence
from ossia.engine.speculation import LONGEST_DRAFT, Speculation, StepCosts, obeying
from ossia.model.sampling import SamplingParams

PARAMS = SamplingParams(max_tokens=50)


class Room:
    """A Paging with room for so many tokens of a draft."""

    def __init__(self, room=64):
        self.room = room

    def room_behind(self, sequence, count, wanted):
        return min(wanted, self.room)


def sequence_of(ids, params=PARAMS, computed=None):
    sequence = new_sequence(
        np.array(ids, np.int32), params, capacity=len(ids) + params.max_tokens, seed=0, arrival=1, block=64
    )
    sequence.num_computed = len(ids) - 1 if computed is None else computed
    return sequence


def chunk_of(speculation, ids, params=PARAMS, odds=1.0):
    """The last token of `ids`, with matches that come true with probability `odds`."""
    sequence = sequence_of(ids, params)
    speculation.watch(sequence)
    sequence.drafter._odds = [odds] * 6
    return Chunk(sequence, len(ids) - 1, 1)


def costs(speculation, **seconds):
    """costs(r1=…, r8=…): what steps of 1 and 8 rows took."""
    for name, s in seconds.items():
        speculation.costs.note(int(name[1:]), 99.0)  # the first does not count
        speculation.costs.note(int(name[1:]), s)


REPEATING = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3]


def drafts(speculation, *chunks, budget=100, room=64):
    return [chunk.draft for chunk in speculation.extend(list(chunks), budget, Room(room))]


def test_costs_are_what_was_measured_and_straight_between():
    c = StepCosts()
    for rows, s in ((1, 9.0), (1, 1.0), (5, 9.0), (5, 3.0)):
        c.note(rows, s)
    assert [c.seconds(n) for n in (1, 2, 3, 5, 8)] == [1.0, 1.5, 2.0, 3.0, 3.0]
    assert [c.known(n) for n in (1, 3, 5)] == [True, False, True]


def test_a_disturbed_step_counts_little_and_a_lasting_change_is_followed():
    c = StepCosts()
    for s in (1.0, 1.0, 1000.0):
        c.note(1, s)
    assert c.seconds(1) == pytest.approx(1.1)
    for _ in range(60):
        c.note(1, 4.0)
    assert c.seconds(1) == pytest.approx(4.0, rel=0.01)


def test_nothing_is_drafted_before_a_step_was_measured():
    s = Speculation(97, 512)
    assert drafts(s, chunk_of(s, REPEATING)) == [()]


def test_what_is_sure_and_costs_nothing_is_drafted_in_full():
    s = Speculation(97, 512)
    costs(s, r1=1.0)
    assert drafts(s, chunk_of(s, REPEATING)) == [(4, 5, 6, 7, 8, 9, 10)]
    assert LONGEST_DRAFT == 7


def test_rows_that_cost_a_step_each_are_not_drafted():
    s = Speculation(97, 512)
    costs(s, r1=1.0, r8=8.0)
    assert drafts(s, chunk_of(s, REPEATING)) == [()]


def test_the_length_follows_odds_and_costs():
    s = Speculation(97, 512)
    costs(s, r1=1.0, r2=1.1, r4=1.3, r5=3.0, r8=6.0)
    assert [len(drafts(s, chunk_of(s, REPEATING, odds=o))[0]) for o in (1.0, 0.7, 0.5, 0.05)] == [3, 3, 2, 0]


def test_with_several_streams_the_likeliest_rows_come_first_and_all_are_counted():
    s = Speculation(97, 512)
    costs(s, r2=1.0, r16=1.0)
    likely, unlikely = chunk_of(s, REPEATING), chunk_of(s, REPEATING, odds=0.6)
    assert [len(d) for d in drafts(s, likely, unlikely)] == [7, 2]  # 0.6³ is too unlikely
    assert [len(d) for d in drafts(s, likely, unlikely, budget=8)] == [7, 1]
    for _ in range(60):
        s.costs.note(16, 20.0)
    assert [len(d) for d in drafts(s, likely, unlikely)] == [0, 0]


def test_beside_a_prompt_a_row_costs_its_share():
    s = Speculation(97, 512)
    prompt = sequence_of([50] * 300, computed=0)
    s.watch(prompt)
    chunks = Chunk(prompt, 0, 200), chunk_of(s, REPEATING, odds=0.9)
    assert [len(d) for d in drafts(s, *chunks)] == [0, 7]


def test_only_where_all_known_tokens_are_computed_can_a_draft_follow():
    s = Speculation(97, 512)
    costs(s, r1=1.0)
    sequence = sequence_of(REPEATING, computed=0)
    s.watch(sequence)
    assert drafts(s, Chunk(sequence, 0, 5)) == [()]


@pytest.mark.parametrize(("max_tokens", "longest"), [(1, 0), (2, 1), (5, 4), (50, 7)])
def test_a_draft_leaves_room_for_the_token_sampled_behind_it(max_tokens, longest):
    s = Speculation(97, 512)
    costs(s, r1=1.0)
    chunk = chunk_of(s, REPEATING, SamplingParams(max_tokens=max_tokens))
    assert len(drafts(s, chunk)[0]) == longest


def test_a_draft_is_no_longer_than_its_room():
    s = Speculation(97, 512)
    costs(s, r1=1.0)
    assert drafts(s, chunk_of(s, REPEATING), room=2) == [(4, 5)]
    assert drafts(s, chunk_of(s, REPEATING), room=0) == [()]


def test_costs_that_forbid_drafts_are_measured_again_seldom():
    s = Speculation(97, 512)
    costs(s, r1=1.0, r8=100.0)
    chunk = chunk_of(s, REPEATING)
    lengths = [len(drafts(s, chunk)[0]) for _ in range(520)]
    assert [i for i, n in enumerate(lengths) if n] == [255, 511]


def test_a_step_that_computes_a_prompt_says_nothing_of_costs():
    s = Speculation(97, 512)
    chunk = chunk_of(s, REPEATING)
    for _ in range(3):
        s.note([Chunk(chunk.sequence, 0, 13)], 5.0)
        s.note([Chunk(chunk.sequence, 0, 1)], 5.0)  # not its last known token
    assert not s.costs.known(13)
    for _ in range(2):
        s.note([chunk, Chunk(chunk.sequence, chunk.start, 1, (4, 5))], 5.0)
    assert s.costs.known(4)


class Rule:
    """Every id is at least the one before it; finished at 90."""

    def __init__(self):
        self.ids = [0]

    @property
    def finished(self):
        return self.ids[-1] == 90

    def mask(self, out):
        assert not self.finished
        out[:] = np.arange(out.size) >= self.ids[-1]

    def advance(self, ids):
        assert ids[0] >= self.ids[-1]
        self.ids += ids

    def forced(self):
        return []

    def rollback(self, n):
        del self.ids[len(self.ids) - n :]


@pytest.mark.parametrize(
    ("draft", "left"),
    [
        ((5, 5, 9), (5, 5, 9)),
        ((5, 4, 9), (5,)),
        ((50, 3), (50,)),
        ((5, 90, 91), (5,)),
        ((90,), ()),
        ((), ()),
    ],
)
def test_a_draft_goes_as_far_as_the_mask_allows_and_leaves_it_as_it_was(draft, left):
    mask = Rule()
    sequence = sequence_of([1, 2], SamplingParams(max_tokens=9, mask=mask))
    chunk = obeying(Chunk(sequence, 1, 1, draft), 97)
    assert (chunk.draft, mask.ids) == (left, [0])
    least = [int(row.argmax()) for row in chunk.allowed]
    assert least == ([0, *left] if draft else [])


def test_without_a_mask_a_draft_stays_as_it_is():
    chunk = Chunk(sequence_of([1, 2]), 1, 1, (7, 3))
    assert obeying(chunk, 97) is chunk
