import numpy as np
import pytest

from ossia.engine.lookup import FIRST_ODDS, Drafter, Lookup, agreeing


def lookup_of(ids, capacity=None):
    token_ids = np.zeros(capacity or len(ids), np.int32)
    token_ids[: len(ids)] = ids
    return Lookup(token_ids, len(ids)), token_ids


def test_what_followed_the_last_tokens_is_foretold():
    lookup, _ = lookup_of([5, 1, 2, 3, 4, 6, 7, 9, 1, 2, 3])
    assert (lookup.length, lookup.draft(3)) == (3, [4, 6, 7])


def test_a_longer_match_goes_before_a_later_one():
    lookup, _ = lookup_of([1, 2, 3, 40, 9, 2, 3, 50, 8, 3, 60, 7, 1, 2, 3])
    assert lookup.draft(1) == [40]
    lookup, _ = lookup_of([1, 2, 3, 40, 9, 2, 3, 50, 8, 3, 60, 7, 2, 3])
    assert lookup.draft(1) == [50]


def test_text_without_repetition_foretells_nothing():
    lookup, _ = lookup_of(range(100))
    assert lookup.length == 0


def test_a_draft_longer_than_the_period_goes_round():
    lookup, _ = lookup_of([9, 1, 2, 1, 2])
    assert lookup.draft(7) == [1, 2, 1, 2, 1, 2, 1]


def test_follow_says_whether_it_was_foretold_and_stays_on_the_source():
    lookup, ids = lookup_of([1, 2, 3, 4, 5, 6, 9, 1, 2], capacity=20)
    for i, (token, foretold) in enumerate([(3, True), (4, True), (5, True), (8, False)]):
        ids[9 + i] = token
        assert lookup.follow() is foretold
    assert lookup.length == 0


@pytest.mark.parametrize("vocab", [2, 5, 50, 200_000])
def test_every_match_is_real_and_every_trigram_is_found(vocab):
    rng = np.random.default_rng(vocab)
    ids = rng.integers(0, vocab, 600).astype(np.int32)
    lookup = Lookup(ids, 1)
    known = {}
    for end in range(2, ids.size):
        assert (end < 4) or known.setdefault(ids[end - 4 : end - 1].tobytes(), end - 1)
        lookup.follow()
        assert lookup.num_tokens == end
        if lookup.length:
            source, n = lookup.source, lookup.length
            assert 1 <= n <= 16
            assert n <= source < end
            assert ids[source - n : source].tolist() == ids[end - n : end].tolist()
        if ids[max(0, end - 3) : end].tobytes() in known:
            assert lookup.length >= 3


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100, 1500])
def test_a_prompt_is_indexed_as_if_it_had_come_token_by_token(size):
    ids = np.random.default_rng(size).integers(0, 30, size).astype(np.int32)
    at_once, followed = Lookup(ids, size), Lookup(ids, 1)
    for _ in range(size - 1):
        followed.follow()
    assert [t.tolist() for t in at_once._tables] == [t.tolist() for t in followed._tables]


def test_a_long_prompts_table_grows_with_it():
    assert len(Lookup(np.zeros(20_000, np.int32), 20_000)._tables[0]) == 65536
    assert len(Lookup(np.zeros(20_000, np.int32), 10)._tables[0]) == 4096


def test_odds_fall_with_each_token_and_stop_below_the_least():
    ids = np.array([1, 2, 3, 4, 5, 6, 9, 1, 2, 3], np.int32)
    odds = Drafter(ids, ids.size, list(FIRST_ODDS)).odds(7, 0.05)
    assert odds == pytest.approx([0.3, 0.15, 0.075])
    assert Drafter(ids, ids.size, list(FIRST_ODDS)).odds(2, 0.05) == odds[:2]
    assert Drafter(ids[:6], 6, list(FIRST_ODDS)).odds(7, 0.05) == []


def test_odds_rise_where_predictions_come_true_and_fall_where_not():
    ids = np.array([*range(40), *range(40), *range(30)][::1], np.int32)
    common = list(FIRST_ODDS)
    drafter = Drafter(ids, 41, common)
    for _ in range(60):
        drafter.follow()
    assert min(drafter.odds(7, 0.05)) > 0.9
    assert common[5] > FIRST_ODDS[5]
    noise = np.random.default_rng(0).integers(0, 4, 400).astype(np.int32)
    drafter = Drafter(noise, 1, list(FIRST_ODDS))
    for _ in range(399):
        drafter.follow()
    assert max(drafter.odds(7, 0.05)) < 0.6


def test_a_draft_ends_before_a_stop_id():
    ids = np.array([1, 2, 3, 4, 5, 1], np.int32)
    drafter = Drafter(ids, ids.size, list(FIRST_ODDS))
    assert drafter.draft(4, frozenset({4, 5})) == (2, 3)
    assert drafter.draft(4, frozenset()) == (2, 3, 4, 5)


def test_agreeing_counts_the_common_beginning():
    assert [agreeing(a, [1, 2, 3]) for a in ((), (2,), (1, 2), (1, 2, 3, 4), (1, 5, 3))] == [0, 0, 2, 3, 1]
