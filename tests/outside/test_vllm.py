"""Against a real vLLM (its CPU build will do) and a tiny checkpoint of random weights on o200k_harmony.

`make test-vllm` runs it with the `vllm` it finds, or VLLM=/path/to/vllm. The checkpoint is in bf16, which it
computes on every CPU.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path

import httpx2
import pytest

import ossia
from ossia.agent.model import Model
from ossia.errors import ContextLengthError, InputError
from ossia.model.sampling import PromptProgress, SamplingParams

sys.path.insert(0, str(Path(__file__).parents[1] / "oracle"))

from tiny_gptoss import CONFIG, as_stored, dense_experts, tiny_tensors, write_checkpoint

pytestmark = [pytest.mark.outside, pytest.mark.slow]

PORT = 18473
CONTEXT = 4096
START_S = 600
SHAPE = {
    "vocab_size": 201_088,
    "eos_token_id": 200_002,
    "head_dim": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "layer_types": ["sliding_attention", "full_attention"],
    "sliding_window": 128,
}
ROUNDING = 0.08  # of a log-probability, by computing in bf16
PROMPTS = [list(range(1, 200)), list(range(1000, 1020)), [7, 8, 9], [200_006, 5, 6] * 100]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    config = CONFIG | SHAPE
    tensors = dense_experts(tiny_tensors(0, config))
    folder = tmp_path_factory.mktemp("vllm") / "tiny"
    return write_checkpoint(folder, as_stored(tensors), config | {"torch_dtype": "bfloat16"})


@pytest.fixture(scope="module")
def url(checkpoint):
    """A vLLM server of that checkpoint, without a tokenizer of its own: ids are all it is told."""
    program = os.environ.get("VLLM") or shutil.which("vllm")
    if program is None:
        pytest.skip("there is no vllm here; VLLM names one")
    command = [program, "serve", str(checkpoint), "--served-model-name", "tiny", "--skip-tokenizer-init"]
    command += ["--host", "127.0.0.1", "--port", str(PORT), "--max-model-len", str(CONTEXT)]
    command += [
        "--dtype",
        "bfloat16",
        "--enforce-eager",
        "--enable-prompt-tokens-details",
        "--max-num-seqs",
        "8",
    ]
    settings = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
    }
    log = checkpoint.parent / "vllm.log"
    with log.open("w") as out:
        server = subprocess.Popen(command, env={**os.environ, **settings}, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + START_S
        while not _healthy():
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, "vLLM did not start"
            time.sleep(1)
        yield f"http://127.0.0.1:{PORT}"
    finally:
        server.terminate()
        server.wait(60)


def _healthy():
    try:
        return httpx2.get(f"http://127.0.0.1:{PORT}/health", trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture(scope="module")
def model(url):
    with ossia.connect(url) as model:
        yield model


@pytest.fixture(scope="module")
def native(checkpoint):
    with ossia.load(str(checkpoint), numerics="f32", max_context=CONTEXT) as model:
        yield model


def ask(model: Model, prompt, **params):
    async def read():
        async with aclosing(model.backend.generate(prompt, SamplingParams(**params))) as items:
            return [item async for item in items]

    return asyncio.run(read())


def ids(model: Model, prompt, **params):
    return [token.id for token in ask(model, prompt, **params)]


def test_what_it_serves_is_found(model):
    assert (model.card.name, model.backend.context_length) == ("tiny", CONTEXT)


def test_greedy_tokens_and_their_probabilities_are_the_native_engines(model, native):
    agreed = 0
    for prompt in PROMPTS:
        there = ask(model, prompt, max_tokens=16, temperature=0, logprobs=10)
        here = ask(native, prompt, max_tokens=16, temperature=0, logprobs=10)
        for ours, theirs in zip(here, there, strict=True):
            assert len(theirs.top) == 10
            assert theirs.top[0] == (theirs.id, theirs.logprob)
            # Of 201,088 random logits the largest two may be closer than bf16 can tell.
            assert theirs.logprob == pytest.approx(dict(ours.top)[theirs.id], abs=ROUNDING)
            if theirs.id != ours.id:
                assert ours.logprob - dict(ours.top)[theirs.id] < ROUNDING
                break  # from here on they read different texts
            agreed += 1
    assert agreed >= 24


def test_a_stop_id_is_the_last_token(model):
    whole = ids(model, PROMPTS[1], max_tokens=8, temperature=0)
    stopped = ask(model, PROMPTS[1], temperature=0, stop_ids=frozenset({whole[3]}))
    assert [token.id for token in stopped] == whole[: whole.index(whole[3]) + 1]
    assert stopped[-1].finish == "stop"


def test_a_seed_is_reproducible_and_a_bias_obeyed(model):
    first, again, other = (ids(model, PROMPTS[2], max_tokens=12, temperature=1.5, seed=s) for s in (5, 5, 6))
    assert first == again != other
    assert ids(model, PROMPTS[2], max_tokens=3, temperature=0, logit_bias={42: 100.0}) == [42] * 3


def test_a_prompt_again_is_cached_and_its_reading_told(model):
    prompt = list(range(3000, 3300))
    ask(model, prompt, max_tokens=1)
    progress, *tokens = ask(model, prompt, max_tokens=2, progress=True)
    assert progress == PromptProgress(0, 300)
    assert tokens[-1].cached >= 256
    assert tokens[-1].finish == "length"


def test_what_is_beyond_it_is_refused_with_numbers(model):
    with pytest.raises(ContextLengthError):
        ask(model, [1] * CONTEXT)
    model.backend.context_length *= 2
    try:
        with pytest.raises(ContextLengthError) as caught:
            ask(model, [1] * (CONTEXT + 100), max_tokens=1)
    finally:
        model.backend.context_length //= 2
    assert (caught.value.value, caught.value.limit) == (CONTEXT + 100, CONTEXT)
    with pytest.raises(InputError, match="max allowed: 20"):
        ask(model, [1], max_tokens=1, logprobs=21)


def test_a_reader_that_leaves_stops_the_answer_there(model, url):
    async def leave():
        items = model.backend.generate(PROMPTS[2], SamplingParams(temperature=0))
        for _ in range(3):
            await anext(items)
        assert _running(url) == 1
        await items.aclose()
        deadline = time.monotonic() + 30
        while _running(url):
            assert time.monotonic() < deadline, "vLLM goes on for nobody"
            await asyncio.sleep(0.1)

    asyncio.run(leave())


def test_many_at_once_of_which_most_leave(model, url):
    prompts = [list(range(n, n + 5 + 7 * n)) for n in range(1, 25)]
    alone = [ids(model, prompt, max_tokens=20, temperature=0) for prompt in prompts[:4]]

    async def whole(prompt, count=20):
        async with aclosing(model.backend.generate(prompt, _greedy(count))) as items:
            return [item.id async for item in items]

    async def leave(prompt):
        async with aclosing(model.backend.generate(prompt, _greedy(3000))) as items:
            await anext(items)

    async def cancelled(prompt):
        task = asyncio.create_task(whole(prompt, 3000))
        await asyncio.sleep(0.01 * prompt[0])
        task.cancel()
        await asyncio.wait({task})

    async def all_of_them():
        leaving = [*map(leave, prompts * 2), *map(cancelled, prompts * 2)]
        return (await asyncio.gather(*map(whole, prompts), *leaving))[: len(prompts)]

    together = asyncio.run(all_of_them())
    assert all(len(tokens) == 20 for tokens in together)
    assert together[:4] == alone
    deadline = time.monotonic() + 30
    while _running(url):
        assert time.monotonic() < deadline, "vLLM goes on for nobody"
        time.sleep(0.1)


def _greedy(count):
    return SamplingParams(max_tokens=count, temperature=0)


def _running(url):
    text = httpx2.get(f"{url}/metrics", trust_env=False).text
    lines = [line for line in text.splitlines() if line.startswith("vllm:num_requests_running")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_a_chat_ends_however_the_weights_speak(model):
    reply = model.chat(max_tokens=50, temperature=0, stop_repetition=False).send("Hello.")
    assert reply.finish_reason in ("limit_tokens", "stop", "empty")
    assert 0 < reply.usage.output_tokens <= 50


@pytest.fixture(scope="module")
def served(url, tmp_path_factory):
    """`ossia serve --backend vllm` over it, as a user starts it; its URL."""
    command = [sys.executable, "-m", "ossia", "serve", "--backend", "vllm", "--url", url, "--port", "0"]
    home = {"OSSIA_HOME": str(tmp_path_factory.mktemp("home")), "OSSIA_LANG": "en"}
    server = subprocess.Popen(
        command, env={**os.environ, **home}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        said = server.stdout.readline()
        assert said.startswith("Ossia serves tiny at http://"), said + (
            server.stderr.read() if not said else ""
        )
        yield said.split()[-1]
    finally:
        server.terminate()
        server.communicate(timeout=60)


def test_the_responses_api_gives_its_tokens(served, model):
    asked = {"model": "tiny", "input": "Hello.", "temperature": 0, "max_output_tokens": 24}
    body = httpx2.post(f"{served}/v1/responses", json=asked, timeout=60, trust_env=False).json()
    assert body["status"] in ("completed", "incomplete"), body
    assert 0 < body["usage"]["output_tokens"] <= 24
    kept = httpx2.get(f"{served}/v1/responses/{body['id']}/harmony", timeout=60, trust_env=False).json()
    step = kept["steps"][0]
    there = ids(
        model, step["prompt"]["ids"], temperature=0, max_tokens=24, stop_ids=model.tok.markers.stop_ids
    )
    assert step["output"]["ids"] == there[: len(step["output"]["ids"])]
    assert len(step["output"]["ids"]) == body["usage"]["output_tokens"]


def test_a_stream_over_it_has_the_same_text(served):
    asked = {"model": "tiny", "input": "Hello.", "temperature": 0, "max_output_tokens": 24}
    whole = httpx2.post(f"{served}/v1/responses", json=asked, timeout=60, trust_env=False).json()
    told = httpx2.post(
        f"{served}/v1/responses", json={**asked, "stream": True}, timeout=60, trust_env=False
    ).text
    assert told.rstrip().endswith("data: [DONE]")
    last = [line for line in told.splitlines() if line.startswith("data: {")][-1]
    ended = json.loads(last.removeprefix("data: "))["response"]
    assert ended["usage"] == whole["usage"] | {"input_tokens_details": ended["usage"]["input_tokens_details"]}
    assert [item["type"] for item in ended["output"]] == [item["type"] for item in whole["output"]]


def test_what_it_refuses_has_its_status(served):
    asked = {"model": "tiny", "input": "word " * 5000}
    told = httpx2.post(f"{served}/v1/responses", json=asked, timeout=60, trust_env=False)
    assert (told.status_code, told.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert f"{CONTEXT:,}" in told.text
    wrong = httpx2.post(
        f"{served}/v1/responses",
        json={"model": "tiny", "input": "x", "stream": True, "temperature": 2.5},
        timeout=60,
        trust_env=False,
    )
    assert wrong.status_code == 400
