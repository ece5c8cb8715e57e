"""How far vLLM's log-probs are from the trainer's on one real chat model, and what importance weights would make of it.

    crl models fetch smollm2-135m-instruct
    python -m benchmarks.mismatch [--episodes 8]

SmolLM2-135M-Instruct plays episodes of 4 turns, 24 sampled tokens a turn, by vLLM in this process (not compiled), in both number
types; the trainer's pass over them is in the same number type, on the same weights. `nats`: |engine's log-prob - the trainer's|.
`outside`: the share of importance weights (`crl.learn.correction`) outside 0.5 to 2. `ess`: their effective sample size, of 1.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import replace
from multiprocessing import get_context

import torch
from transformers.utils import logging

from benchmarks.common import markdown
from benchmarks.pretrained import MODEL, Rollouts, Shape, opening
from crl.config.correction import CorrectionConfig
from crl.config.servers import EngineConfig
from crl.engine.kinds import Vllm
from crl.learn.collate import Denominators, collate, rows_of
from crl.learn.correction import importance_weights
from crl.learn.scoring import TokenScorer
from crl.learn.sequences import WeightedSequence, completion_sequence
from crl.models.resolve import load_model
from crl.models.shelf import located

ENGINE = EngineConfig(kind="vllm", cpu_cache_gib=2, eager=True)


def measured(source: str, dtype: str, episodes: int) -> dict[str, str | float]:
    """One row, in a process of its own: vLLM binds the threads of its process to cores."""
    logging.disable_progress_bar()
    shape = Shape(episodes=episodes, turns=4, manual=100)
    given = replace(opening(source, shape, dtype), engine=ENGINE)
    with closing(Vllm.open(given)) as opened:
        plays = Rollouts(shape, given.tokenizer)
        plays.play(opened)
    batch = [WeightedSequence(completion_sequence(*said), 1.0) for said in plays.completions]
    part = collate(rows_of(batch), Denominators.of(batch), "sequence", device=torch.device("cpu"))
    arithmetic = torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16")
    with torch.no_grad(), arithmetic:
        log_ratios = TokenScorer(load_model(source)[0]).eval()(*part.inputs)[0] - part.old_logprobs
    found = {"dtype": dtype, "tokens": len(log_ratios), "nats_mean": log_ratios.abs().mean().item()}
    found["nats_max"] = log_ratios.abs().max().item()
    for level in ("token", "sequence"):
        weights, outside = importance_weights(log_ratios, part.counts, CorrectionConfig(level=level, low=0.5))
        found[f"outside_{level}"] = outside.double().mean().item()
        found[f"ess_{level}"] = (weights.sum() ** 2 / (len(weights) * weights.square().sum())).item()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--episodes", type=int, default=8, help="of 96 sampled tokens each (default %(default)s)")
    options = parser.parse_args()
    rows = []
    for dtype in ("float32", "bfloat16"):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            rows.append(apart.submit(measured, located(MODEL), dtype, options.episodes).result())
    print(
        markdown(
            [*rows[0]],
            [[f"{each:.2g}" if isinstance(each, float) else str(each) for each in row.values()] for row in rows],
        )
    )


if __name__ == "__main__":
    main()
