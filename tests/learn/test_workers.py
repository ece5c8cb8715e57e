"""Learners in processes of their own: the same update, the same files, and an end that is told."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import Qwen2Config, Qwen2ForCausalLM

from benchmarks.common import peak_gib
from crl.config import Config
from crl.config.compose import composed
from crl.errors import DataError, RunStopped
from crl.files import digest_folder
from crl.learn.group import LearnerGroup
from crl.learn.opening import load_learning, open_trainer
from crl.learn.sequences import WeightedSequence
from crl.learn.stored import digest_weights
from crl.learn.trainer import Trainer
from crl.models.resolve import load_model, save_model
from crl.tiny.tokenizer import train_tokenizer
from tests.learn.samples import VOCAB, random_batch, tiny_model
from tests.marked import has_ended
from tests.waiting import until

ROOT = Path(__file__).parents[2]
# 5 micro-batches a step and more: both workers accumulate, and one of them gets a stand-in.
GIVEN = ["run.device=cpu", "learn.actor.kl_coef=0", "learn.actor.optimizer.micro_batch_tokens=80"]
VARIANTS = {
    "tied": ["learn.actor.correction.level=token"],
    "untied": [
        "learn.actor.optimizer.checkpointing=true",
        "learn.actor.kl_coef=0.5",
    ],  # a reference of its own, sharded
    "lora": ["learn.actor.lora.rank=4", "learn.actor.kl_coef=0.5"],  # whose reference is the base
}

pytestmark = pytest.mark.slow


def config_of(workers: int, *more: str) -> Config:
    return composed("quick", [*GIVEN, f"learn.actor.workers={workers}", *more], ROOT / "conf")


def trainer(config: Config, source: str) -> Trainer:
    return open_trainer(config, "actor", load_learning(config, "actor", source)[0], source)


def sampled_by_two(batch: list[WeightedSequence]) -> list[WeightedSequence]:
    """Every other pair of sequences is of version 1: some of each step of two."""
    return [replace(item, sequence=replace(item.sequence, version=i // 2 % 2)) for i, item in enumerate(batch)]


def assert_close(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert all(torch.allclose(left[key], right[key], rtol=0, atol=2e-5) for key in left)


@dataclass
class Pair:
    config: Config
    source: str
    alone: Trainer
    group: LearnerGroup


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    tokenizer, folder = train_tokenizer(["go north to the door"], 300), tmp_path_factory.mktemp("models")
    for name in VARIANTS:
        save_model(tiny_model(tied=name != "untied"), tokenizer, folder / name)
    return {name: str(folder / name) for name in VARIANTS}


@pytest.fixture(scope="module", params=list(VARIANTS))
def pair(request: pytest.FixtureRequest, sources: dict[str, str]) -> Iterator[Pair]:
    """Two workers and one, of the same model."""
    config, source = config_of(2, *VARIANTS[request.param]), sources[request.param]
    group = LearnerGroup(config, "actor", source)
    yield Pair(config, source, trainer(config, source), group.ready())
    group.close()


def test_two_workers_learn_what_one_learns(pair):
    for seed in range(3):
        batch = sampled_by_two(random_batch(13, seed))
        left, right = (each.update(batch, steps=1 + seed, version=1) for each in (pair.alone, pair.group))
        assert left["engine_mismatch_tokens"] > 0
        assert right["loss"] == pytest.approx(left["loss"], abs=1e-6)
        assert right == pytest.approx(left, rel=1e-4, abs=1e-6)
    assert_close(pair.alone.weights(), pair.group.weights())


def test_what_two_saved_one_resumes_and_the_other_way_round(pair, tmp_path):
    pair.group.save(tmp_path / "two")
    assert sorted(file.name[:20] for file in (tmp_path / "two").glob("*.safetensors")) == [
        "shard-00001-of-00002",
        "shard-00002-of-00002",
    ]
    pair.alone.load(tmp_path / "two")
    pair.alone.save(tmp_path / "one")
    pair.group.load(tmp_path / "one")
    pair.group.save(tmp_path / "again")
    assert digest_folder(tmp_path / "again") == digest_folder(tmp_path / "two")
    pair.alone.update(random_batch(6, 3))
    pair.alone.save(tmp_path / "on")
    pair.group.load(tmp_path / "on")
    right, left = (each.update(random_batch(6, 4))["loss"] for each in (pair.group, pair.alone))
    assert right == pytest.approx(left, abs=1e-6)


@pytest.fixture
def sharded(pair, tmp_path) -> Path:
    """What two workers saved; the next state lies in `later`."""
    pair.group.save(tmp_path / "two")
    pair.group.update(random_batch(6, 7))
    pair.group.save(tmp_path / "later")
    return tmp_path / "two"


def test_pieces_that_are_not_what_was_written_are_refused_by_whoever_reads_them(pair, sharded, tmp_path):
    assert digest_weights(sharded) != digest_weights(tmp_path / "later")
    first, second = sorted(sharded.glob("shard-*"))
    of_later = next((tmp_path / "later").glob("shard-00002-*"))
    damages = {
        r"shard-00002\S+ is missing": second.unlink,
        r"shard-00002\S+ is (missing|of another state)": lambda: second.replace(sharded / of_later.name),
        "SafetensorError": lambda: os.truncate(first, 100),
        r"trainer\.json: not valid JSON": lambda: (sharded / "trainer.json").write_text("{"),
        r"trainer\.json: not of format": lambda: (sharded / "trainer.json").write_text("[]"),
    }
    for told, damage in damages.items():
        folder = shutil.copytree(sharded, tmp_path / "whole")
        damage()
        with pytest.raises(DataError, match=rf"{told}.*Remedy"):
            pair.alone.load(sharded)
        shutil.rmtree(sharded)
        folder.rename(sharded)
    pair.alone.load(sharded)


def test_what_was_kept_comes_back_and_learns_the_same_bytes_again(pair, tmp_path):
    pair.group.save(tmp_path / "good")
    pair.group.keep()
    pair.group.update(random_batch(6, 5))
    pair.group.save(tmp_path / "once")
    pair.group.save_kept(tmp_path / "kept")
    pair.group.take_back()
    pair.group.save(tmp_path / "back")
    pair.group.update(random_batch(6, 5))
    pair.group.save(tmp_path / "again")
    digests = {name: digest_folder(tmp_path / name) for name in ("good", "kept", "back", "once", "again")}
    assert digests["good"] == digests["kept"] == digests["back"] != digests["once"]
    assert digests["once"] == digests["again"]


def test_a_group_puts_out_the_model_that_one_process_would(pair, tmp_path):
    pair.group.save(tmp_path / "state")
    pair.alone.load(tmp_path / "state")
    pair.group.export(None, tmp_path / "two")
    pair.alone.export(load_model(pair.source)[1], tmp_path / "one")
    assert digest_folder(tmp_path / "two") == digest_folder(tmp_path / "one")


def test_one_worker_learns_the_same_bytes_and_its_errors_come_back_as_they_are(sources, tmp_path):
    config = config_of(1)
    group, alone = LearnerGroup(config, "actor", sources["tied"]).ready(), trainer(config, sources["tied"])
    for name, each in (("group", group), ("alone", alone)):
        each.update(random_batch(6), steps=2)
        each.save(tmp_path / name)
    assert digest_folder(tmp_path / "group") == digest_folder(tmp_path / "alone")
    assert load_file(tmp_path / "group" / "model.safetensors").keys() == dict(alone.model.named_parameters()).keys()
    with pytest.raises(RunStopped, match=r"^gradient norm = nan"):
        group.update([replace(item, weight=float("nan")) for item in random_batch(2)])


def test_the_first_worker_alone_loads_all_of_a_model(tmp_path):
    config = Qwen2Config(
        vocab_size=VOCAB, hidden_size=1024, intermediate_size=4096, num_hidden_layers=4, num_attention_heads=8,
        num_key_value_heads=8,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    save_model(model, train_tokenizer(["go north to the door"], 300), tmp_path / "large")
    group = LearnerGroup(config_of(2), "actor", str(tmp_path / "large")).ready()
    first, second = (peak_gib(pid) * 2**30 for pid in group._crew.pids)
    group.close()
    assert first - second > 0.9 * 4 * model.num_parameters()


HEAD = """
import sys, time
from crl.learn.group import LearnerGroup
from tests.learn.test_workers import config_of
if __name__ == "__main__":
    group = LearnerGroup(config_of(1), "actor", sys.argv[1]).ready()
    print(*group._crew.pids, group._folder, flush=True)
    time.sleep(600)
"""


def test_workers_leave_with_a_head_that_is_killed(sources):
    command = [sys.executable, "-c", HEAD, sources["tied"]]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as head:
        *pids, folder = head.stdout.readline().split()
        assert not any(has_ended(int(pid)) for pid in pids)
        head.kill()
    until(lambda: all(has_ended(int(pid)) for pid in pids), "the workers have left")
    assert not Path(folder).exists()
