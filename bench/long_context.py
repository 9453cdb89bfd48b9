"""The longest context a model has, computed in full: seconds, processor time and memory by position.

`python bench/long_context.py MODEL [--tokens N] [--decode N] [--kv-cache int8] [--threads N]`. A prompt of
random ids goes through the engine in steps of 512, then tokens are decoded greedily; prompt and answer
together are the model's whole context where no other length is asked for. MODEL is any name, or a checkpoint
of `ossia bench make` (20b-2-layers). All layers of 20b take hours: attention grows with the square.
"""

import argparse
import json
import resource
import time

import numpy as np

from ossia.bench.run import synthetic_folder
from ossia.engine import Engine, EngineOptions, build_engine
from ossia.hub.sources import locate
from ossia.kernels import cpu
from ossia.model.checkpoint import open_checkpoint
from ossia.model.sampling import SamplingParams
from ossia.model.weights import load_weights
from ossia.settings import load_settings

SAID_EVERY = 32  # steps


def engine_of(args: argparse.Namespace) -> tuple[Engine, int]:
    settings = load_settings()
    found = locate(str(synthetic_folder(args.model, settings) or args.model), settings)
    cpu.configure(settings.isa, args.threads)
    checkpoint = open_checkpoint(found.path)
    config = checkpoint.config
    options = EngineOptions(
        max_context=args.tokens or config.max_position_embeddings,
        kv_cache=args.kv_cache,
        max_sequences=1,
        prefix_cache=False,
        speculation=False,
    )
    weights = load_weights(checkpoint, config, settings.numerics)
    return build_engine(config, weights, settings.numerics, options), config.vocab_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, help="of prompt and answer (default: the model's context)")
    parser.add_argument("--decode", type=int, default=16)
    parser.add_argument("--kv-cache", default="int8", choices=["int8", "bf16", "f32"])
    parser.add_argument("--threads", type=int, default=cpu.default_threads())
    args = parser.parse_args()
    engine, vocab = engine_of(args)
    prompt = np.random.default_rng(0).integers(0, vocab, engine.context_length - args.decode)
    sequence = engine.submit(prompt, SamplingParams(max_tokens=args.decode, temperature=0.0))
    wall, busy, first = time.perf_counter(), time.process_time(), None
    while engine.has_work:
        outputs = engine.step()
        now, used = time.perf_counter() - wall, time.process_time() - busy
        if outputs and first is None:
            first = now, used
        elif first is None and engine.stats.steps % SAID_EVERY == 0:
            print(f"{sequence.num_computed:8,} tokens {now:8.1f} s, {used:8.1f} s of processors", flush=True)
    assert first is not None, "no token came"
    result = {
        "prompt_tokens": prompt.size,
        "decoded_tokens": len(sequence.output_ids),
        "prefill_s": first[0],
        "prefill_processor_s": first[1],
        "decode_tok_s": (len(sequence.output_ids) - 1) / (time.perf_counter() - wall - first[0]),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
