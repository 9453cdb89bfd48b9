"""Questions and openings for the base."""

from random import Random

import pytest

from ossia.posttrain.data import topics


def test_questions_are_many_and_different() -> None:
    assert (
        len(topics.distinct(topics.question, 500, Random(1)))
        == len(set(topics.distinct(topics.question, 500, Random(1))))
        == 500
    )


def test_things_keep_their_articles() -> None:
    found = topics.things()
    assert {"photosynthesis", "the water cycle", "a rainbow", "a job interview", "debugging"} <= set(found)
    assert not {"a", "an", "the"} & set(found)


def test_asking_for_more_than_there_are_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="only 1 different"):
        topics.distinct(lambda rng: "same", 2, Random(1))
