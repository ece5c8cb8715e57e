"""Run by `accelerate launch` in test_workers: the same training by two gloo processes.

ddp: two updates through the trainer; metrics and its saved folder are kept.
sharded: a state saved by one process, put into a model that FSDP2 shards over both, and read back.
"""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch
from accelerate import PartialState
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from crl.config.correction import CorrectionConfig
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.sequences import WeightedSequence
from crl.learn.state import load_state, read_state, save_state, write_state
from crl.learn.trainer import Trainer
from tests.learn.samples import adam, random_batch, tiny_model


def sampled_by_two(batch: list[WeightedSequence]) -> list[WeightedSequence]:
    """Every other pair of sequences is of version 1: some of each step of two."""
    return [replace(item, sequence=replace(item.sequence, version=i // 2 % 2)) for i, item in enumerate(batch)]


def ddp(folder: Path) -> None:
    # 5 micro-batches each: both workers accumulate without syncing, and one of them gets a stand-in.
    trainer = Trainer(
        tiny_model(), adam(micro_batch_tokens=80), GrpoObjective(), device="cpu", correction=CorrectionConfig(level="token")
    )  # fmt: skip
    metrics = [trainer.update(sampled_by_two(random_batch(13, seed)), steps=1 + seed, version=1) for seed in range(2)]
    trainer.save(folder / "trainer")
    if PartialState().is_main_process:
        (folder / "metrics.json").write_text(json.dumps({"workers": PartialState().num_processes, "updates": metrics}))


def sharded(folder: Path) -> None:
    process, model = PartialState(cpu=True), tiny_model(seed=5)
    fully_shard(model, mesh=torch.distributed.init_device_mesh("cpu", (process.num_processes,)))
    optimizer = torch.optim.AdamW(model.parameters())
    write_state(model, optimizer, load_state(folder / "trainer"))
    assert process.num_processes == 2
    assert all(isinstance(parameter, DTensor) for parameter in model.parameters())
    state = read_state(model, optimizer, load_state(folder / "trainer").counters)
    if process.is_main_process:
        save_state(folder / "read_back", model, state)
        assert asdict(state.counters)["updates"] == 2


if __name__ == "__main__":
    {"ddp": ddp, "sharded": sharded}[sys.argv[1]](Path(sys.argv[2]))
