"""What vLLM's chunks say."""

import pytest

from ossia.backends.vllm.refusals import error_message
from ossia.backends.vllm.wire import Chunk, read_chunk
from ossia.errors import BackendError
from ossia.model.sampling import SamplingParams, Token

PLAIN = SamplingParams()


def choice(**fields):
    return {"choices": [{"index": 0, "text": "", **fields}]}


@pytest.mark.parametrize(
    ("reason", "finish"),
    [(None, None), ("stop", "stop"), ("length", "length"), ("abort", "cancelled"), ("new", "stop")],
)
def test_why_an_answer_ended(reason, finish):
    assert read_chunk(choice(token_ids=[4], finish_reason=reason), PLAIN) == Chunk((Token(4),), finish)


def test_an_end_without_a_token_is_still_an_end():
    assert read_chunk(choice(token_ids=None, finish_reason="stop"), PLAIN) == Chunk((), "stop")


def test_usage_may_or_may_not_count_the_cache():
    assert read_chunk({"choices": [], "usage": {"prompt_tokens": 3}}, PLAIN) == Chunk()
    details = {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}
    assert read_chunk({"choices": [], "usage": details}, PLAIN) == Chunk(cached=2)


def test_a_token_whose_probability_is_not_told_has_none():
    logprobs = {"token_logprobs": [None], "top_logprobs": [None]}
    chunk = read_chunk(choice(token_ids=[4], logprobs=logprobs), SamplingParams(logprobs=1))
    assert chunk == Chunk((Token(4),))


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "no", "code": 500}},
        {"object": "error", "message": "no", "code": 500},
        {"error": "no"},
    ],
)
def test_errors_in_every_shape_they_had(body):
    assert "no" in error_message(body)
    with pytest.raises(BackendError, match="no"):
        read_chunk(body, PLAIN)


def test_text_without_ids_is_an_old_server():
    with pytest.raises(BackendError, match="without token ids"):
        read_chunk(choice(text="words"), PLAIN)
