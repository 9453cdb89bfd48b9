import numpy as np
import pytest

from ossia.engine.sequence import NO_BLOCK, new_sequence
from ossia.model.sampling import SamplingParams


def make(prompt=(5, 6, 7), capacity=10, **params):
    ids = np.array(prompt, np.int32)
    return new_sequence(ids, SamplingParams(**params), capacity=capacity, seed=1, arrival=1, block=64)


def test_starts_waiting_with_nothing_computed():
    sequence = make(capacity=65)
    assert (sequence.status, sequence.pending, sequence.num_blocks) == ("waiting", 3, 0)
    assert sequence.full_table.tolist() == sequence.window_table.tolist() == [NO_BLOCK] * 2


def test_tells_prompt_from_answer():
    sequence = make()
    sequence.append(9)
    assert (sequence.prompt_ids, sequence.output_ids, sequence.pending) == ([5, 6, 7], [9], 4)


def test_history_counts_prompt_and_answer_only_where_penalties_need_it():
    plain, penalised = make(), make(repetition_penalty=1.2)
    for sequence in (plain, penalised):
        sequence.append(5)
        sequence.append(5)
    ids, counts = penalised.history.arrays()
    assert dict(zip(ids.tolist(), counts.tolist(), strict=True)) == {5: 2, 6: 0, 7: 0}
    assert 6 not in plain.history.arrays()[0]


def test_is_never_longer_than_its_capacity():
    sequence = make(capacity=4)
    sequence.append(1)
    with pytest.raises(AssertionError, match="one more"):
        sequence.append(1)
