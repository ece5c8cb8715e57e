"""vLLM against the transformers engine, and what new weights cost it. Composed by `benchmarks.servers`.

    python -m benchmarks.vllm [--repeats N] [--json FILE]

`vllm_vs_engine`: environment steps per second of a small MiniHack round (the quick profile's tasks, prompts and
parsing; nobody is guided) with vLLM in this process against the transformers engine, by turns in one run.
`vllm_servers_vs_engine`: the same with a vLLM server, started here.
`vllm_weight_update`: seconds until vLLM samples from new weights, against the transformers engine's copy in place.
`vllm_weight_update_server`: the same with the server: written to disk, loaded from there.

vLLM on a CPU computes heads of 32 and more, so the models here have two heads where the quick profile has four.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers.utils import logging

from benchmarks.common import Row, main, measure_interleaved, row
from benchmarks.quick import quick_config, warm_models
from crl.config import Config
from crl.config.learn import LoraConfig
from crl.config.play import ModelConfig
from crl.config.servers import EngineConfig
from crl.engine.open import open_engine
from crl.engine.vllm.serve import command, servable
from crl.envs.hosting.pool import EnvPool
from crl.episode.many import play_all
from crl.episode.plan import plan_round
from crl.episode.player import Player
from crl.models.resolve import load_model
from crl.tasks.sets import TaskSets
from crl.types import Episode
from flows.local.process import Launch, free_port, spawn

LIVE = 32
KINDS = ("transformers", "vllm", "server")
START_S = 600.0


def vllm_config(kind: str, *more: str) -> Config:
    """The quick profile as an asynchronous run with engine `kind`, with heads that vLLM computes on a CPU."""
    return quick_config(
        "models.actor.heads=2", "models.extractor.heads=2", f"engine.kind={kind}",
        "engine.eager=true", f"rollout.live_episodes={LIVE}", "rollout.groups=4", "rounds.bank_warmup=1", *more,
    )  # fmt: skip


@dataclass
class Side:
    """One engine, ready to play and to be given weights."""

    config: Config
    player: Player
    tasks: TaskSets
    weights: dict[str, torch.Tensor]
    loaded: int = 0

    def rollout(self) -> float:
        """Environment steps per second of a round without guidance."""
        plan = plan_round(self.config, self.tasks, 0)
        began = time.perf_counter()
        ends = asyncio.run(play_all(self.player, plan.specs, live=LIVE))
        return sum(len(end.turns) for end in ends if isinstance(end, Episode)) / (time.perf_counter() - began)

    def update(self) -> float:
        """Seconds of one change of weights."""
        self.loaded += 1
        return self.player.engine.load_weights(self.weights, self.loaded)


@contextmanager
def sides(actor: Path, url: str) -> Iterator[dict[str, Side]]:
    """One of each kind of engine; `url` is the server's."""
    with ExitStack() as stack:
        opened = {}
        for kind in KINDS:
            config = vllm_config(kind, f"servers.actor=['{url}']")
            _, chat, engine = open_engine(config, "actor", str(actor), sessions=LIVE, turnstile=None)
            stack.callback(engine.close)
            pool = stack.enter_context(EnvPool(config.envs))
            player = Player(config, "benchmark", engine, chat, pool)
            opened[kind] = Side(config, player, TaskSets.generate(config), weights_of(actor))
        yield opened


def weights_of(actor: Path) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in load_model(actor)[0].state_dict().items()}


@contextmanager
def served(
    source: Path | str,
    folder: Path,
    engine: EngineConfig,
    settings: ModelConfig,
    device: str,
    lora: LoraConfig | None = None,
) -> Iterator[str]:
    """The address of a server of the model, or of one that takes such adapters of it."""
    argv, environment = command(
        servable(source, folder / "served"), port=(port := free_port()), role="actor", config=engine, model_config=settings,
        device=device, lora=lora,
    )  # fmt: skip
    running = spawn("actor", Launch(argv, environment, wait_s=START_S), folder=folder, port=port)
    try:
        yield running.url
    finally:
        running.stop()


def run(repeats: int) -> list[Row]:
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        actor, _ = warm_models(vllm_config("transformers"), Path(folder) / "models")
        server = vllm_config("server")
        address = served(actor, Path(folder), server.engine, server.models.actor, server.run.device)
        with address as url, sides(actor, url) as opened:
            rates = measure_interleaved({name: side.rollout for name, side in opened.items()}, repeats)
            updates = measure_interleaved({name: side.update for name, side in opened.items()}, repeats)
    return [
        row("vllm_vs_engine", rates["vllm"], rates["transformers"], unit="steps/s"),
        row("vllm_servers_vs_engine", rates["server"], rates["transformers"], unit="steps/s"),
        row("vllm_weight_update", updates["vllm"], updates["transformers"], unit="s"),
        row("vllm_weight_update_server", updates["server"], updates["transformers"], unit="s"),
    ]


if __name__ == "__main__":
    main("vLLM: environment steps per second, and new weights", run, repeats=3)
