"""A vLLM server behind the backend's protocol: ids both ways, and every way it can fail."""

import asyncio
import time
from contextlib import aclosing

import pytest
from fake_vllm import FakeVllm

from ossia.backends.vllm import VllmBackend
from ossia.backends.vllm.servers import Servers
from ossia.errors import BackendError, ContextLengthError, InputError, OssiaError, OverloadedError
from ossia.model.sampling import PromptProgress, SamplingParams, Token

PATIENCE_S = 20
GREEDY = SamplingParams(temperature=0, max_tokens=5)


def over(*urls, silence_s=PATIENCE_S, api_key=None, context_length=1000):
    servers = Servers(urls, api_key, silence_s)
    return VllmBackend(servers, "m", context_length=context_length, vocab_size=1000)


async def read(backend, prompt=(1, 2, 3), params=GREEDY):
    async with aclosing(backend.generate(list(prompt), params)) as items:
        return [item async for item in items]


def ask(backend, prompt=(1, 2, 3), params=GREEDY):
    return asyncio.run(read(backend, prompt, params))


async def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("per_chunk", [1, 2, 3, 10])
def test_ids_come_as_they_were_sampled_and_the_last_says_why_and_what_was_cached(fake, per_chunk):
    fake.per_chunk = per_chunk
    assert ask(over(fake.url)) == [
        *map(Token, range(100, 104)),
        Token(104, finish="length", cached=64),
    ]
    stopped = ask(over(fake.url), params=SamplingParams(stop_ids=frozenset({102})))
    assert [(token.id, token.finish) for token in stopped] == [(100, None), (101, None), (102, "stop")]


def test_a_server_that_does_not_count_its_cache_is_no_error(fake):
    fake.cached = None
    assert ask(over(fake.url))[-1] == Token(104, finish="length")


def test_what_is_asked_arrives_and_nothing_is_left_to_the_checkpoint(fake):
    params = SamplingParams(
        max_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_k=20,
        min_p=0.1,
        repetition_penalty=1.1,
        presence_penalty=0.2,
        frequency_penalty=0.3,
        logit_bias={5: -100.0},
        seed=2**62,
        logprobs=3,
        stop_ids=frozenset({9, 8}),
    )
    ask(over(fake.url), [4, 5], params)
    assert fake.bodies[0] == {
        "model": "m",
        "prompt": [4, 5],
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 20,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
        "logit_bias": {"5": -100.0},
        "seed": 2**62,
        "logprobs": 3,
        "return_tokens_as_token_ids": True,
        "stop_token_ids": [8, 9],
        "ignore_eos": True,
        "add_special_tokens": False,
        "return_token_ids": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_without_a_limit_the_context_is_the_limit(fake):
    ask(over(fake.url, context_length=50), [1] * 20, SamplingParams())
    assert fake.bodies[0]["max_tokens"] == 30


@pytest.mark.parametrize("n", [0, 2])
def test_logprobs_are_the_sampled_ones_and_the_likeliest(fake, n):
    first = ask(over(fake.url), params=SamplingParams(max_tokens=2, logprobs=n))[0]
    assert first.logprob == -2.0
    assert first.top == ((0, -1.0), (1, -1.125))[:n] or (n == 0 and first.top == ())


def test_progress_comes_when_the_prompt_was_accepted(fake):
    first, *tokens = ask(over(fake.url), params=SamplingParams(max_tokens=2, progress=True))
    assert first == PromptProgress(0, 3)
    assert [token.id for token in tokens] == [100, 101]


def test_progress_does_not_wait_for_the_prompt_to_be_read(fake):
    fake.fault = "reads"

    async def follow():
        items = over(fake.url).generate([1, 2], SamplingParams(max_tokens=2, progress=True))
        first = await anext(items)
        fake.go_on.set()
        return first, [item.id async for item in items]

    assert asyncio.run(follow()) == (PromptProgress(0, 2), [100, 101])


def test_what_is_refused_in_the_stream_is_no_progress(fake):
    fake.fault = "late"
    with pytest.raises(InputError, match="max allowed: 20"):
        asyncio.run(anext(over(fake.url).generate([1], SamplingParams(progress=True))))


def test_leaving_while_the_prompt_is_read_stops_it_there(fake):
    fake.fault = "reads"

    async def leave():
        items = over(fake.url).generate([1], SamplingParams(progress=True))
        assert await anext(items) == PromptProgress(0, 1)
        await items.aclose()
        await until(lambda: fake.left == 1)

    asyncio.run(leave())


def test_what_cannot_be_run_is_refused_before_anything_is_sent(fake):
    backend = over(fake.url, context_length=10)
    with pytest.raises(ContextLengthError) as caught:
        backend.generate([1] * 8, SamplingParams(max_tokens=3))
    assert (caught.value.value, caught.value.limit) == (11, 10)
    for prompt in ([], [1000], [-1]):
        with pytest.raises(InputError):
            backend.generate(prompt, GREEDY)
    with pytest.raises(InputError, match="logit_bias"):
        backend.generate([1], SamplingParams(logit_bias={1000: 1.0}))
    assert fake.bodies == []


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("busy", OverloadedError, "too many requests"),
        ("starting", OverloadedError, "unavailable"),
        ("too-long", ContextLengthError, "maximum context length is 4096"),
        ("bad", InputError, "max allowed: 20"),
        ("late", InputError, "max allowed: 20"),
        ("key", BackendError, "401: Unauthorized"),
        ("dead", BackendError, "500: EngineCore encountered"),
    ],
)
def test_a_refusal_is_an_error_of_its_own_kind(fake, fault, kind, says):
    fake.fault = fault
    with pytest.raises(OssiaError, match=says) as caught:
        ask(over(fake.url))
    assert type(caught.value) is kind


def test_back_pressure_says_when_to_ask_again(fake):
    for fault, seconds in (("busy", 7), ("starting", 5)):
        fake.fault = fault
        with pytest.raises(OverloadedError) as caught:
            ask(over(fake.url))
        assert caught.value.retry_after_s == seconds


def test_an_overflow_found_there_has_both_numbers(fake):
    fake.fault = "too-long"
    with pytest.raises(ContextLengthError) as caught:
        ask(over(fake.url))
    assert (caught.value.value, caught.value.limit) == (5000, 4096)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("cut", "broke"),
        ("ends", "ended early"),
        ("fails", "EngineCore died"),
        ("garbage", "no JSON"),
        ("no-ids", "without token ids"),
    ],
)
def test_an_answer_that_breaks_is_an_error_behind_what_there_was(fake, fault, says):
    fake.fault = fault
    seen = []

    async def follow():
        async with aclosing(over(fake.url).generate([1], GREEDY)) as items:
            while True:
                seen.append((await anext(items)).id)

    with pytest.raises(BackendError, match=says):
        asyncio.run(follow())
    assert seen == ([] if fault == "no-ids" else [100, 101])


def test_a_server_that_falls_silent_is_given_up(fake):
    fake.fault = "hangs"
    with pytest.raises(BackendError, match="broke: ReadTimeout"):
        ask(over(fake.url, silence_s=0.2))


def test_nobody_there_is_an_error_that_names_the_url():
    with FakeVllm() as gone:
        url = gone.url
    with pytest.raises(BackendError, match=f"{url} cannot be reached"):
        ask(over(url))


def test_closing_the_iterator_stops_the_answer_there(fake):
    fake.fault = "hangs"

    async def leave():
        items = over(fake.url).generate([1], GREEDY)
        await anext(items)
        assert fake.under_way == 1
        await items.aclose()
        await until(lambda: fake.left == 1)

    asyncio.run(leave())
    assert fake.under_way == 0


def test_cancelling_the_reader_stops_the_answer_there(fake):
    fake.fault = "hangs"

    async def cancel():
        reading = asyncio.create_task(read(over(fake.url)))
        await until(lambda: fake.under_way == 1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await until(lambda: fake.left == 1)

    asyncio.run(cancel())


def test_the_key_goes_along(fake):
    ask(over(fake.url, api_key="secret"))
    ask(over(fake.url))
    assert fake.keys == ["Bearer secret", None]


def test_closed_refuses_and_ends_what_is_under_way(fake):
    async def close():
        backend = over(fake.url)
        items = backend.generate([1], GREEDY)
        await anext(items)
        await backend.close()
        with pytest.raises(BackendError, match="closed"):
            await anext(items)
        with pytest.raises(BackendError, match="closed"):
            backend.generate([1], GREEDY)

    asyncio.run(close())


def test_many_at_once_in_several_event_loops(fake):
    backend = over(fake.url)
    fake.answer = lambda prompt: [prompt[0]] * 20

    async def many():
        return await asyncio.gather(*(read(backend, [n], SamplingParams(max_tokens=20)) for n in range(16)))

    for _ in range(2):
        for n, tokens in enumerate(asyncio.run(many())):
            assert [token.id for token in tokens] == [n] * 20


def test_requests_go_to_the_least_busy_server_and_past_one_that_is_gone():
    with FakeVllm() as gone:
        url = gone.url
    with FakeVllm() as one, FakeVllm() as other:
        backend = over(url, one.url, other.url)
        one.fault = other.fault = "hangs"

        async def three():
            reading = [asyncio.create_task(read(backend)) for _ in range(4)]
            await until(lambda: one.under_way + other.under_way == 4)
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

        asyncio.run(three())
        assert (len(one.bodies), len(other.bodies)) == (2, 2)


def test_what_one_server_has_no_room_for_another_takes():
    with FakeVllm() as one, FakeVllm() as other:
        one.fault = "busy"
        assert len(ask(over(one.url, other.url))) == 5
        other.fault = "starting"
        with pytest.raises(OverloadedError):
            ask(over(one.url, other.url))


@pytest.mark.parametrize("url", ["", "gpu:8000", "ftp://gpu", "http://", None])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(InputError):
        Servers([url], None)


def test_no_url_at_all_is_refused():
    with pytest.raises(InputError, match="no URL"):
        Servers([], None)
