import asyncio

import pytest

from ossia.backends import Backend, ScriptedBackend
from ossia.errors import BackendError, ContextLengthError, InputError
from ossia.model.sampling import PromptProgress, SamplingParams


def ask(backend: Backend, prompt, **params):
    async def collect():
        return [token async for token in backend.generate(prompt, SamplingParams(**params))]

    return asyncio.run(collect())


def test_answers_in_order_and_records_the_prompts():
    backend = ScriptedBackend([[1, 2], [3]])
    assert [(t.id, t.finish) for t in ask(backend, [9])] == [(1, None), (2, "stop")]
    assert [(t.id, t.finish) for t in ask(backend, [9, 1], temperature=0.5)] == [(3, "stop")]
    assert backend.prompts == [[9], [9, 1]]
    assert backend.params[1].temperature == 0.5
    assert backend.left == 0


def test_cuts_where_an_engine_would():
    backend = ScriptedBackend([[1, 2, 3], [1, 2, 3], [1, 2, 3]], context_length=10)
    assert [(t.id, t.finish) for t in ask(backend, [9], stop_ids=frozenset({2}))] == [(1, None), (2, "stop")]
    assert [(t.id, t.finish) for t in ask(backend, [9], max_tokens=1)] == [(1, "length")]
    assert [(t.id, t.finish) for t in ask(backend, [9] * 8)] == [(1, None), (2, "length")]


def test_refuses_what_an_engine_would():
    backend = ScriptedBackend([[1]], context_length=10)
    with pytest.raises(InputError, match="empty"):
        backend.generate([], SamplingParams())
    with pytest.raises(ContextLengthError) as caught:
        backend.generate([1] * 5, SamplingParams(max_tokens=6))
    assert (caught.value.value, caught.value.limit) == (11, 10)
    assert backend.prompts == []


def test_a_script_that_is_used_up_is_an_error():
    backend = ScriptedBackend([])
    with pytest.raises(BackendError, match="no answer to request 1"):
        backend.generate([1], SamplingParams())


def test_counts_answers_left_early():
    backend = ScriptedBackend([[1, 2, 3]])

    async def leave():
        stream = backend.generate([9], SamplingParams())
        await anext(stream)
        await stream.aclose()

    asyncio.run(leave())
    assert backend.left == 1


def test_closed_refuses():
    backend = ScriptedBackend([[1]])
    asyncio.run(backend.close())
    with pytest.raises(BackendError, match="closed"):
        backend.generate([1], SamplingParams())


def test_a_function_of_the_prompt_may_be_the_script():
    backend = ScriptedBackend(lambda prompt: [*prompt, 7])
    for prompt in ([1, 2], [3]):
        assert [t.id for t in ask(backend, prompt)] == [*prompt, 7]


def test_a_delay_comes_before_each_token(monkeypatch):
    slept = []
    real = asyncio.sleep

    async def sleep(seconds):
        slept.append(seconds)
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert len(ask(ScriptedBackend([[1, 2]], seconds_per_token=0.25), [9])) == 2
    assert slept == [0.25, 0.25]


def test_progress_comes_where_it_is_asked_for():
    first, token = ask(ScriptedBackend([[1]]), [9, 9], progress=True)
    assert (first, token.id) == (PromptProgress(0, 2), 1)
