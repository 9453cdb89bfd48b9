import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import aclosing

import pytest

from ossia.backends import Backend, NativeBackend
from ossia.engine.switch_interval import SWITCH_INTERVAL_S
from ossia.errors import BackendError, ContextLengthError, InputError
from ossia.model.sampling import PromptProgress, SamplingParams

GREEDY = SamplingParams(max_tokens=20, temperature=0)
PATIENCE_S = 20  # how long a test waits for what must happen, before it fails


@pytest.fixture
def make(toy_engine):
    """NativeBackend over a toy engine, and the toy; closed afterwards."""
    made = []

    def build(**options):
        engine, toy = toy_engine(**options)
        made.append(NativeBackend(engine))
        return made[-1], toy

    yield build
    for backend in made:
        backend.shutdown()


async def read(backend: Backend, prompt, params=GREEDY):
    return [token async for token in backend.generate(prompt, params)]


async def until(condition):
    """Wait for another thread to make `condition` true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.001)


def free(backend):
    stats = backend.stats
    return (stats.running, stats.waiting, stats.full_blocks_in_use, stats.window_blocks_in_use) == (
        0,
        0,
        0,
        0,
    )


def test_tokens_come_in_order_with_finish_on_the_last(make, toy_reference):
    backend, _ = make()
    tokens = asyncio.run(read(backend, [1, 2, 3]))
    assert [t.id for t in tokens] == toy_reference([1, 2, 3], 20)
    assert [t.finish for t in tokens] == [None] * 19 + ["length"]
    again = asyncio.run(read(backend, [1, 2, 3, 4]))
    assert again[0].cached == 3


class Forced:
    """A mask that forces ids three at a time, for ever."""

    finished = False

    def mask(self, out):
        raise AssertionError("what is forced is not sampled")

    def advance(self, ids): ...

    def forced(self):
        return [5, 6, 7]

    def rollback(self, n): ...


def test_all_tokens_of_one_step_arrive_when_the_answer_ends_in_it(make):
    backend, _ = make()
    params = SamplingParams(max_tokens=5, mask=Forced())
    tokens = asyncio.run(asyncio.wait_for(read(backend, [1, 2], params), PATIENCE_S))
    assert [t.id for t in tokens] == [5, 6, 7, 5, 6]
    assert [t.finish for t in tokens] == [None] * 4 + ["length"]
    assert free(backend)


def test_many_callers_in_one_loop_run_together(make, toy_reference):
    backend, _ = make()

    async def crowd():
        return await asyncio.gather(*(read(backend, [i]) for i in range(12)))

    for i, tokens in enumerate(asyncio.run(crowd())):
        assert [t.id for t in tokens] == toy_reference([i], 20)
    assert backend.stats.steps < 12 * 20


def test_many_event_loops_in_many_threads(make, toy_reference):
    backend, _ = make()
    results = {}

    def caller(i):
        results[i] = asyncio.run(read(backend, [i, i]))

    threads = [threading.Thread(target=caller, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert {i: [t.id for t in r] for i, r in results.items()} == {
        i: toy_reference([i, i], 20) for i in range(6)
    }


def test_requests_that_cannot_be_run_raise_at_once(make):
    backend, toy = make(context=100)
    with pytest.raises(InputError):
        backend.generate([], GREEDY)
    with pytest.raises(ContextLengthError):
        backend.generate([1] * 90, GREEDY)
    assert backend.context_length == 100
    assert toy.batches == []


def test_nothing_is_submitted_before_the_first_token_is_asked_for(make):
    backend, _ = make()

    async def never_iterated():
        stream = backend.generate([1], GREEDY)
        await stream.aclose()

    asyncio.run(never_iterated())
    assert backend.stats.prompt_tokens == 0


def test_closing_the_iterator_frees_everything(make):
    backend, _ = make()

    async def leave():
        async with aclosing(backend.generate([1] * 70, SamplingParams(temperature=0))) as stream:
            async for _ in stream:
                break
        await until(lambda: free(backend))

    asyncio.run(leave())
    assert backend.stats.generated_tokens < 1000


@pytest.mark.parametrize("prompt", [[1], [1] * 300])
def test_cancelling_the_task_frees_everything(make, prompt):
    backend, toy = make(max_chunk=1)

    async def cancelled():
        task = asyncio.create_task(read(backend, prompt, SamplingParams(temperature=0)))
        await until(lambda: toy.batches)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: free(backend))

    asyncio.run(cancelled())


def test_a_timeout_frees_everything_and_spares_the_others(make, toy_reference):
    backend, _ = make()

    async def impatient():
        other = asyncio.create_task(read(backend, [5], SamplingParams(max_tokens=60, temperature=0)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await read(backend, [1], SamplingParams(temperature=0))
        tokens = await other
        await until(lambda: free(backend))
        return tokens

    assert [t.id for t in asyncio.run(impatient())] == toy_reference([5], 60)


def test_a_loop_closed_under_its_reader_frees_everything(make):
    backend, _ = make()
    loop = asyncio.new_event_loop()
    stream = backend.generate([1], SamplingParams(temperature=0))
    loop.run_until_complete(anext(stream))
    loop.close()
    asyncio.run(until(lambda: free(backend)))


def test_an_error_in_the_engine_reaches_everyone_who_waits(make):
    backend, toy = make()
    gate = threading.Event()

    def broken():
        gate.wait(PATIENCE_S)
        raise ZeroDivisionError("a kernel broke")

    toy.before_forward = broken

    async def crowd():
        tasks = [asyncio.create_task(read(backend, [i])) for i in range(3)]
        await asyncio.sleep(0.05)
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    errors = asyncio.run(crowd())
    assert all(isinstance(e, BackendError) and "a kernel broke" in str(e) for e in errors)
    assert all(isinstance(e.__cause__, ZeroDivisionError) for e in errors)
    with pytest.raises(BackendError, match="a kernel broke"):
        asyncio.run(read(backend, [1]))


def test_a_grammar_without_a_way_out_raises_in_its_own_request(make, toy_reference):
    class Stuck:
        finished = False

        def mask(self, out):
            out[:] = 0

        def advance(self, ids): ...

        def forced(self):
            return []

        def rollback(self, n): ...

    backend, _ = make()

    async def both():
        bad = read(backend, [1], SamplingParams(mask=Stuck()))
        return await asyncio.gather(bad, read(backend, [2]), return_exceptions=True)

    error, tokens = asyncio.run(both())
    assert isinstance(error, InputError)
    assert [t.id for t in tokens] == toy_reference([2], 20)
    assert free(backend)


def test_close_ends_requests_under_way_with_an_error_and_joins_the_thread(make):
    backend, toy = make()

    async def scene():
        task = asyncio.create_task(read(backend, [1], SamplingParams(temperature=0)))
        await until(lambda: toy.batches)
        await backend.close()
        await backend.close()  # no mistake
        with pytest.raises(BackendError, match="closed"):
            await task

    asyncio.run(scene())
    assert not any(t.name == "ossia-engine" and t is backend._thread for t in threading.enumerate())
    assert free(backend)
    with pytest.raises(BackendError, match="closed"):
        backend.generate([1], GREEDY)


def test_a_request_made_before_close_and_read_after_it_does_not_hang(make):
    backend, _ = make()
    stream = backend.generate([1], GREEDY)
    backend.shutdown()

    async def late():
        async with asyncio.timeout(PATIENCE_S):
            return [token async for token in stream]

    with pytest.raises(BackendError, match="closed"):
        asyncio.run(late())


def test_an_idle_engine_burns_no_processor_time(make):
    backend, toy = make()
    asyncio.run(read(backend, [1]))
    steps, before = len(toy.batches), time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1
    assert len(toy.batches) == steps


@pytest.fixture
def interval():
    """A switch interval nobody else uses; the old one afterwards."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.004)
    yield sys.getswitchinterval()
    sys.setswitchinterval(before)


def test_the_switch_interval_is_short_only_while_there_is_work(make, interval):
    backend, toy = make()
    during = []
    toy.before_forward = lambda: during.append(sys.getswitchinterval())
    asyncio.run(read(backend, [1]))
    assert max(during) == pytest.approx(SWITCH_INTERVAL_S)
    asyncio.run(until(lambda: sys.getswitchinterval() == interval))


def test_nothing_is_remembered_of_requests_that_ended(make):
    backend, _ = make()

    async def two_ends():
        await read(backend, [1])
        async with aclosing(backend.generate([2], GREEDY)) as stream:
            await anext(stream)
        await until(lambda: free(backend))

    asyncio.run(two_ends())
    assert backend._streams == {}


def test_a_request_that_arrives_during_the_last_step_is_told(make):
    backend, toy = make()
    gate, inside = threading.Event(), threading.Event()

    def wait():
        inside.set()
        gate.wait(PATIENCE_S)

    toy.before_forward = wait

    async def scene():
        first = asyncio.create_task(read(backend, [1]))
        await until(inside.is_set)
        late = asyncio.create_task(read(backend, [2]))
        await asyncio.sleep(0)  # it is in the inbox now
        closing = asyncio.create_task(backend.close())
        await asyncio.sleep(0.01)
        gate.set()
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.gather(first, late, closing, return_exceptions=True)

    first, late, _ = asyncio.run(scene())
    assert all(isinstance(e, BackendError) and "closed" in str(e) for e in (first, late))


def test_the_interpreter_exits_though_nobody_closed():
    program = textwrap.dedent("""
        import asyncio
        import numpy as np
        from ossia.backends import NativeBackend
        from ossia.engine import Engine, EngineOptions, PoolPlan
        from ossia.model.sampling import SamplingParams

        class Model:
            def sample(self, batch, asks):
                return np.zeros((batch.logit_rows.size, 8), np.float32)
            def copy_block(self, group, src, dst): ...

        model = Model()
        engine = Engine(model, model, PoolPlan(400, 400, 0, 25000), vocab_size=8, sliding_window=16,
                        model_context=25000, options=EngineOptions())
        backend = NativeBackend(engine)

        async def main():
            stream = backend.generate([1], SamplingParams())
            print((await anext(stream)).id)
            asyncio.get_running_loop().set_exception_handler(lambda *a: None)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        print("leaving")
    """)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout.split()[-1]) == (0, "leaving"), done.stderr


def test_progress_of_a_prompt_comes_chunk_by_chunk_and_never_unasked(make, toy_reference):
    backend, _ = make(max_batch_tokens=16)
    asked = SamplingParams(max_tokens=3, temperature=0, progress=True)
    *before, _, _, _ = items = asyncio.run(read(backend, list(range(40)), asked))
    assert before == [PromptProgress(0, 40), PromptProgress(16, 40), PromptProgress(32, 40)]
    assert [item.id for item in items[3:]] == toy_reference(list(range(40)), 3)
    again = asyncio.run(read(backend, list(range(40)), asked))
    assert again[0] == PromptProgress(0, 40)
    assert again[1].cached > 32  # nothing left to report
    assert len(asyncio.run(read(backend, [9, *range(40)]))) == 20


def test_what_is_computed_again_after_a_preemption_is_no_progress(toy_engine):
    engine, _ = toy_engine(max_batch_tokens=16)
    sequence = engine.submit(list(range(40)), SamplingParams(max_tokens=4, temperature=0, progress=True))
    seen = []
    while engine.has_work:
        outputs = engine.step()
        seen += [out.progress or out.token.id for out in outputs]
        if sequence.num_tokens == 42 and not sequence.preemptions:
            engine.preempt(sequence)
    assert sequence.preemptions == 1
    assert seen[:2] == [PromptProgress(16, 40), PromptProgress(32, 40)]
    assert seen[2:] == sequence.output_ids
