"""A thinking actor whose passed turns lose their thoughts: its ratios are 1, and it goes on after a stop with the same bytes."""

import asyncio
from pathlib import Path

import pytest

from crl.config.play import ModelConfig
from crl.models.chat import ChatFormat
from crl.models.resolve import save_model
from crl.round.report import RoundReport
from crl.tiny.model import build_model
from tests.episode.test_thoughts import thinker
from tests.flows.agents import tokenizer
from tests.round import runs

DROP = (
    "+arm=grpo", "rounds.bank_warmup=0", "actor.thoughts=drop", "envs.workers=0", "models.actor.source=a/thinker",
    "learn.actor.flat_groups=count", "learn.actor.kl_coef=0.1",  # nobody wins: all that is played is trained for its KL term
    "rollout.sampling.max_new_tokens=6", "~tasks.mix",
    "+tasks.mix={room: {family: minihack, level: MiniHack-Room-Dark-5x5-v0, max_steps: 5}}",
)  # fmt: skip


def write_models(folder: Path) -> None:
    plain = tokenizer()
    talk = thinker(ChatFormat(plain), "<think>\\n")
    for role, words in (("actor", talk._tokenizer), ("extractor", plain)):
        model = build_model(ModelConfig(hidden_size=32, layers=1, heads=2), words, 3)
        save_model(model, words, folder / "models" / role)


async def play(folder: Path, stop_after: int = 2) -> list[RoundReport]:
    """Two rounds, or what is missing of them."""
    run, reports = runs.open_run(runs.small_config("lockstep", 2, *DROP), folder), []
    try:
        while run.next_round < stop_after:
            reports.append(await run.play_round())
            assert any(turn.dropped for episode in run.ends for turn in episode.turns)
        return reports
    finally:
        await run.close()


def test_its_ratios_are_one_and_it_is_the_same_run_after_a_stop(tmp_path: Path) -> None:
    for name in ("whole", "stopped"):
        write_models(tmp_path / name)
    first, _ = asyncio.run(play(tmp_path / "whole"))
    assert first.metrics["actor/ratio_max"] == pytest.approx(1.0, abs=1e-4)
    assert first.metrics["actor/engine_mismatch_tokens"] == first.metrics["actor/trainable_tokens"] > 0
    asyncio.run(play(tmp_path / "stopped", stop_after=1))
    asyncio.run(play(tmp_path / "stopped"))
    assert runs.digests(tmp_path / "stopped") == runs.digests(tmp_path / "whole")
