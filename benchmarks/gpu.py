"""Generation and GRPO steps of a Qwen3-0.6B-shaped model with random weights, in bf16: tokens per second, memory, share of peak.

    python -m benchmarks.gpu [--json FILE] [--shape qwen3-0.6b|tiny] [--device cuda|cpu]

Needs torch, transformers and pure-Python wheels only: the rollouts play Sokoban, whose engine is ours. Weights are
random, so that every reply runs to `max_new_tokens`; the actor's sentences mean nothing, their cost is that of real ones.

`rollout`: generated tokens per second of whole episodes through the one episode loop, environments included.
`decode`: the same engine on prompts of 1,024 tokens without environments, against `transformers.generate` on the same batch.
`grpo`: trained tokens per second (all tokens of the sequences) of one update; share of peak counts 6 flops per parameter and
token and the attention's own, against the device's dense bf16 peak in `PEAK_TFLOPS`.
"""

import argparse
import asyncio
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from benchmarks.common import machine, write_json
from crl.actor.prompts import actor_prompts
from crl.config import Config, from_mapping
from crl.config.learn import AdamConfig
from crl.engine.protocol import Sampling
from crl.engine.transformers import TransformersEngine
from crl.envs.hosting.pool import EnvPool
from crl.envs.registry import make_env
from crl.episode.many import play_all
from crl.episode.plan import plan_round
from crl.episode.player import Player
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.sequences import TrainingSequence, WeightedSequence
from crl.learn.trainer import Trainer
from crl.models.chat import ChatFormat
from crl.seeding import derive_seed, stream
from crl.tasks.sets import TaskSets
from crl.tiny.tokenizer import train_tokenizer
from crl.types import EpisodeFailure

PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0, "L4": 121.0}  # dense bf16, from the vendor's data sheets


@dataclass(frozen=True, slots=True)
class Shape:
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    vocabulary: int
    sessions: int  # contexts generated at once
    context: (
        int  # tokens that a session's cache holds: sessions x context x layers x kv_heads x head_dim x 4 bytes in bf16
    )
    prompt: int  # tokens of a context in `decode`
    new: int  # tokens generated per turn
    length: int  # tokens of a trained sequence
    batch: int  # trained sequences

    def config(self) -> Qwen3Config:
        return Qwen3Config(
            vocab_size=self.vocabulary, hidden_size=self.hidden, num_hidden_layers=self.layers,
            num_attention_heads=self.heads, num_key_value_heads=self.kv_heads, head_dim=self.head_dim,
            intermediate_size=self.feed_forward, max_position_embeddings=40_960, tie_word_embeddings=True,
            eos_token_id=None, bos_token_id=None,
        )  # fmt: skip

    def model(self, dtype: torch.dtype, device: str) -> PreTrainedModel:
        torch.manual_seed(derive_seed("gpu", "weights"))
        with torch.device(device):
            return Qwen3ForCausalLM(self.config()).to(dtype).eval()


SHAPES = {
    "qwen3-0.6b": Shape(
        1024, 28, 16, 8, 128, 3072, 151_936, sessions=128, context=3072, prompt=1024, new=128, length=2048, batch=64
    ),
    "tiny": Shape(64, 2, 4, 2, 16, 128, 2048, sessions=4, context=1024, prompt=64, new=8, length=96, batch=8),
}


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    figure: float
    unit: str
    device: str


def config_of(shape: Shape, device: str) -> Config:
    """Sokoban as models that read see it; one group per two sessions."""
    sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": shape.new}
    return from_mapping(
        {
            "run": {"schedule": "async", "device": device},
            "tasks": {
                "mix": {"boxes": {"family": "sokoban", "level": "6x6-2", "max_steps": 8}},
                "train_levels": 64,
                "eval_levels": 1,
            },
            "models": {"actor": {"context_tokens": shape.context}},
            "rollout": {"groups": shape.sessions // 2, "group_size": 2, "free_per_group": 2, "sampling": sampling},
            "actor": {"gate": {"enabled": False}, "ask": {"enabled": False}},
            "extractor": {"distil": {"sampling": {"max_new_tokens": shape.new}}},
        }
    )


def texts(config: Config) -> list[str]:
    """What the tokenizer is trained on, since no hub can be reached: the opening prompts of some tasks."""
    env = make_env("sokoban", config.envs.observation, config.envs.sandbox)
    shown = [env.reset(spec.task) for spec in plan_round(config, TaskSets.generate(config), 0).specs[:8]]
    opening = actor_prompts(config.actor).opening
    return [message.content for observation in shown for message in opening(observation, None, ask_manual=False)]


def rollout(shape: Shape, engine: TransformersEngine, chat: ChatFormat, config: Config) -> float:
    """Generated tokens per second of one round of Sokoban episodes, environments and prompts included."""
    plan = plan_round(config, TaskSets.generate(config), 0)
    pool = EnvPool(config.envs)
    player = Player(config, "gpu", engine, chat, pool)
    try:
        began = time.perf_counter()
        ends = asyncio.run(play_all(player, plan.specs, live=shape.sessions))
        wall_s = time.perf_counter() - began
    finally:
        pool.close()
    if failed := [end for end in ends if isinstance(end, EpisodeFailure)]:
        raise RuntimeError(f"{len(failed)} of {len(ends)} episodes failed: {failed[0].detail}")
    return sum(len(turn.completion.token_ids) for episode in ends for turn in episode.turns) / wall_s


def prompts(shape: Shape) -> np.ndarray:
    """Random token ids [sessions, prompt]."""
    return stream("gpu", "prompts").integers(0, shape.vocabulary, (shape.sessions, shape.prompt))


def decode(shape: Shape, engine: TransformersEngine) -> float:
    """Generated tokens per second of one turn of all sessions, their prompts' prefill included."""

    async def one(index: int, ids: np.ndarray) -> int:
        async with engine.session(f"s{index}") as session:
            sampling = Sampling(max_new_tokens=shape.new, seed=index)
            return len((await session.generate(tuple(map(int, ids)), sampling, f"r{index}")).token_ids)

    async def everyone() -> int:
        return sum(await asyncio.gather(*(one(index, ids) for index, ids in enumerate(prompts(shape)))))

    began = time.perf_counter()
    tokens = asyncio.run(everyone())
    return tokens / (time.perf_counter() - began)


def generate(shape: Shape, model: PreTrainedModel) -> float:
    """The same by `transformers.generate`, in one batch."""
    ids = torch.from_numpy(prompts(shape)).to(model.device)
    began = time.perf_counter()
    out = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, max_new_tokens=shape.new,
        pad_token_id=0,
    )  # fmt: skip
    _finish(model.device.type)
    return (out.shape[1] - ids.shape[1]) * len(ids) / (time.perf_counter() - began)


def trainer_batch(shape: Shape) -> list[WeightedSequence]:
    """Sequences of which the last half is sampled, with log-probs near the uniform ones of random weights."""
    generator, half = stream("gpu", "batch"), shape.length // 2
    mask = (0,) * (shape.length - half) + (1,) * half
    logprobs = (0.0,) * (shape.length - half) + (-float(np.log(shape.vocabulary)),) * half
    return [
        WeightedSequence(
            TrainingSequence(
                tuple(map(int, generator.integers(0, shape.vocabulary, shape.length))), mask, logprobs, temperature=1.0
            ),
            1.0 if index % 2 else -1.0,
        )
        for index in range(shape.batch)
    ]


def grpo(shape: Shape, trainer: Trainer, batch: Sequence[WeightedSequence]) -> float:
    """Tokens of the trained sequences per second, of one whole update."""
    began = time.perf_counter()
    trainer.update(batch)
    _finish(trainer.device.type)
    return shape.length * len(batch) / (time.perf_counter() - began)


def flops_per_token(shape: Shape, parameters: int) -> float:
    """Of a training pass, forward and backward: 6 per matrix weight, and causal attention's 6 x layers x heads x width x length.

    The embedding table is a matrix weight here, since the head is tied to it; logits are taken for the sampled half only.
    """
    table = shape.hidden * shape.vocabulary
    attention = 6 * shape.layers * shape.heads * shape.head_dim * shape.length
    return 6 * (parameters - table) + 6 * table / 2 + attention


def measure(shape: Shape, device: str, repeats: int) -> list[Figure]:
    """Medians over `repeats`, after one warm-up each."""
    name = torch.cuda.get_device_name() if device == "cuda" else machine()
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    config, model = config_of(shape, device), shape.model(dtype, device)
    tokenizer = train_tokenizer(texts(config), vocab_size=600)
    chat, rows = ChatFormat(tokenizer), []
    engine = TransformersEngine(
        model, tokenizer, end_ids=chat.end_ids, max_sessions=shape.sessions,
        context_tokens=config.models.actor.context_tokens, turnstile=None, forward_tokens=16_384,
    )  # fmt: skip
    try:
        with torch.inference_mode():
            for what, side in (
                ("rollout", lambda: rollout(shape, engine, chat, config)),
                ("decode", lambda: decode(shape, engine)),
                ("decode_baseline", lambda: generate(shape, model)),
            ):
                rows.append(Figure(what, _median(side, repeats), "tokens/s", name))
                rows.append(Figure(f"{what}_memory", _peak_gib(device), "GiB", name))
    finally:
        engine.close()
    parameters = sum(weight.numel() for weight in model.parameters())
    adam = AdamConfig(lr=1e-6, micro_batch_tokens=16_384)
    trainer = Trainer(model, adam, GrpoObjective(clip_low=0.2, clip_high=0.2), device=device, dtype=str(dtype)[6:])
    batch = trainer_batch(shape)
    speed = _median(lambda: grpo(shape, trainer, batch), repeats)
    rows += [Figure("grpo", speed, "tokens/s", name), Figure("grpo_memory", _peak_gib(device), "GiB", name)]
    for chip, peak in PEAK_TFLOPS.items():
        if chip in name:
            rows.append(
                Figure("grpo_share_of_peak", speed * flops_per_token(shape, parameters) / peak / 1e12, "1", name)
            )
    return rows


def _median(side: Callable[[], float], repeats: int) -> float:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    side()
    return statistics.median(side() for _ in range(repeats))


def _peak_gib(device: str) -> float:
    """Of the GPU since the last figure began; of the whole process on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="qwen3-0.6b")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as a JSON list")
    options = parser.parse_args()
    rows = measure(SHAPES[options.shape], options.device, options.repeats)
    print(f"{options.shape} on {rows[0].device}")
    for line in rows:
        print(f"{line.name:24} {line.figure:12,.4g} {line.unit}")
    write_json(rows, options.json)


if __name__ == "__main__":
    main()
