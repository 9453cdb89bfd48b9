"""The distribution sampling draws from, against transformers' logits processors applied in the same order."""

import numpy as np
import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from ossia.model.sampling import SamplingParams, TokenHistory, candidates

CASES = [
    {"temperature": 0.7},
    {"top_k": 40},
    {"top_p": 0.9},
    {"min_p": 0.02},
    {"temperature": 1.5, "top_k": 100, "top_p": 0.8},
    {"temperature": 0.6, "min_p": 0.01, "top_p": 0.95},
    {"repetition_penalty": 1.3, "temperature": 0.9, "min_p": 0.001, "top_k": 200, "top_p": 0.97},
]


def processors(params):
    """In vLLM's order, which is ours: penalties, temperature, min_p, top_k, top_p."""
    chain = LogitsProcessorList()
    if params.repetition_penalty != 1:
        chain.append(RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
    if params.temperature != 1:
        chain.append(TemperatureLogitsWarper(params.temperature))
    if params.min_p:
        chain.append(MinPLogitsWarper(params.min_p))
    if params.top_k:
        chain.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        chain.append(TopPLogitsWarper(params.top_p))
    return chain


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(f"{k}={v}" for k, v in c.items()))
@pytest.mark.parametrize("seed", range(3))
def test_candidates_and_probabilities(case, seed):
    rng = np.random.default_rng(seed)
    logits = (rng.standard_normal(5000) * 3).astype(np.float32)
    history = rng.integers(0, 5000, 300)
    params = SamplingParams(**case)
    theirs = processors(params)(torch.tensor(history)[None], torch.tensor(logits)[None])
    theirs = torch.softmax(theirs[0].double(), -1).numpy()
    ids, p = candidates(logits, params, TokenHistory(history[:200].tolist(), history[200:].tolist()))
    assert set(ids.tolist()) == set(np.flatnonzero(theirs).tolist())
    assert p == pytest.approx(theirs[ids], rel=1e-4)
    assert (np.diff(p) <= 0).all()
