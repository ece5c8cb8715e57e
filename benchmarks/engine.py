"""Environment steps per second of a full rollout, against two ways to generate the same replies.

    python -m benchmarks.engine [--json FILE]

The full rollout is a training round of the quick profile as the async schedule plays it: 96 live episodes, half of
them guided, with environments in the profile's worker process, prompts, parsing, retrieval from a bank of 300
entries (embedded anew each time), and every record that training needs. One step is one turn of one episode.

`vs_generate`: `transformers.generate` on the context of every turn, 64 at a time, in the order of play (so that
lengths are alike), padded on the left; its cache lives as long as the call. It plays no environment, retrieves nothing, and
keeps no log-probs: all of that favours the baseline.
`vs_bare_decode`: our scheduler alone on the recorded chunks, all episodes turn by turn, without sessions, asyncio,
environments, bank and bookkeeping. What the ratio is short of 1 is what playing costs beyond decoding.

Both baselines replay the rollout that ran last before them; all sides run with the profile's `torch_threads`.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import torch
from transformers.utils import logging

from benchmarks.common import Row, main, measure_interleaved, row
from benchmarks.quick import quick_config, warm_models
from crl.bank.retrieval import Retriever
from crl.config import Config
from crl.engine.decoder import Decoder
from crl.engine.prefixes import SHORTEST
from crl.engine.scheduler import Scheduler
from crl.engine.session import Context, Request
from crl.engine.text import TokenText
from crl.episode.many import play_all
from crl.episode.plan import plan_round
from crl.models.resolve import load_model
from crl.round.parts import Parts, open_parts
from crl.round.state import open_state
from crl.tasks.sets import TaskSets
from crl.tiny.casting import casts
from crl.types import Completion, Episode, Operation, OperationKind, Origin

BANK_ENTRIES = 300
GENERATE_BATCH = 64
Tokens = tuple[int, ...]


@dataclass
class Sides:
    """The three ways; `episodes` are of the last full rollout."""

    config: Config
    parts: Parts
    tasks: TaskSets
    actor: Path
    episodes: Sequence[Episode] = ()

    def rollout(self) -> float:
        """Steps per second of the whole thing."""
        plan = plan_round(self.config, self.tasks, self.config.rounds.bank_warmup)

        async def play() -> list:
            retriever = Retriever(
                self.parts.bank, self.config.retrieval, self.parts.retriever.embedder.inner, seed=self.config.run.seed
            )
            player = replace(self.parts.player(plan, {}), retriever=retriever)
            ends = await play_all(player, plan.specs, live=self.config.rollout.live_episodes)
            await retriever.drain()
            retriever.close()
            return ends

        began = time.perf_counter()
        self.episodes = asyncio.run(play())
        return self._steps() / (time.perf_counter() - began)

    def generate(self) -> float:
        """Steps per second of `transformers.generate`, a call for every 64 contexts."""
        model, tokenizer = load_model(self.actor)
        sampling = self.config.rollout.sampling
        batches = list(padded(list(contexts(self.episodes)), tokenizer.pad_token_id))
        began = time.perf_counter()
        for ids, mask in batches:
            model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=sampling.max_new_tokens, do_sample=True,
                temperature=sampling.temperature, top_p=sampling.top_p, top_k=sampling.top_k,
                eos_token_id=sorted(self.parts.actor.chat.end_ids), pad_token_id=tokenizer.pad_token_id,
            )  # fmt: skip
        return self._steps() / (time.perf_counter() - began)

    def decode(self) -> float:
        """Steps per second of the scheduler, one wave of requests after the other."""
        model, tokenizer = load_model(self.actor)
        decoder = Decoder(model, len(self.episodes), self.config.models.actor.context_tokens)
        scheduler = Scheduler(
            decoder, TokenText(tokenizer), end_ids=self.parts.actor.chat.end_ids, never_ids=(), forward_tokens=4096,
            shared_tokens=SHORTEST,
        )  # fmt: skip
        plan = plan_round(self.config, self.tasks, 0)
        sampling = self.parts.player(plan, {}).sampling(plan.specs[0], 0)
        places = [Context(str(episode.key)) for episode in self.episodes]
        waves = list(zip_longest(*(episode.turns for episode in self.episodes)))
        began = time.perf_counter()
        for wave in waves:
            for place, turn in zip(places, wave, strict=True):
                place.closed = turn is None
            due = [(place, turn) for place, turn in zip(places, wave, strict=True) if turn is not None]
            scheduler.admit([Request("", place, turn.completion.prompt_ids, sampling, None) for place, turn in due])
            while scheduler.running:
                scheduler.step()
        return self._steps() / (time.perf_counter() - began)

    def _steps(self) -> int:
        return sum(len(episode.turns) for episode in self.episodes)


def contexts(episodes: Sequence[Episode]) -> Iterator[Tokens]:
    """All that the model had before it when it replied, for every turn, in the order of play."""
    seen: list[Tokens] = [()] * len(episodes)
    for wave in zip_longest(*(episode.turns for episode in episodes)):
        for index, turn in enumerate(wave):
            if turn is not None:
                yield (prompt := seen[index] + turn.completion.prompt_ids)
                seen[index] = prompt + turn.completion.token_ids


def padded(prompts: Sequence[Tokens], pad_id: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of ids and mask [B, T]."""
    for start in range(0, len(prompts), GENERATE_BATCH):
        batch = prompts[start : start + GENERATE_BATCH]
        longest = max(map(len, batch))
        ids = torch.tensor([(pad_id,) * (longest - len(prompt)) + prompt for prompt in batch])
        mask = torch.tensor([(0,) * (longest - len(prompt)) + (1,) * len(prompt) for prompt in batch])
        yield ids, mask


def fill_bank(parts: Parts, task_sets: TaskSets) -> None:
    """Strategies of the warm start, under made-up situations."""
    (cast, *_) = casts(parts.config, task_sets).values()
    advice = [strategy.advice for strategy in cast.advised]
    tasks = list(task_sets.train)
    for number in range(BANK_ENTRIES):
        operation = Operation(OperationKind.ADD, advice[number % len(advice)])
        parts.bank.apply(
            [operation], scope=tasks[number % len(tasks)], key_text=f"situation {number}",
            origin=Origin(f"benchmark/{number}", "", 0, "seed"),
            completion=Completion(f"benchmark/{number}", (1,), (2,), (-0.5,), "", "stop", 0),
        )  # fmt: skip


def measure(config: Config, repeats: int) -> list[Row]:
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        actor, extractor = warm_models(config, Path(folder) / "models")
        parts = open_parts(config, open_state(Path(folder) / "run", config, {}), actor, extractor)
        try:
            tasks = TaskSets.generate(config)
            fill_bank(parts, tasks)
            sides = Sides(config, parts, tasks, actor)
            sides.rollout()  # the baselines replay it
            figures = measure_interleaved(
                {"rollout": sides.rollout, "generate": sides.generate, "decode": sides.decode}, repeats
            )
        finally:
            parts.close()
    return [
        row("vs_generate", figures["rollout"], figures["generate"], unit="steps/s"),
        row("vs_bare_decode", figures["rollout"], figures["decode"], unit="steps/s"),
    ]


if __name__ == "__main__":
    main("engine: environment steps per second", lambda repeats: measure(quick_config(), repeats))
