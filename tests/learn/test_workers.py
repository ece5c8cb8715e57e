"""The same update by one process and by two real ones under `accelerate launch`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.learn.distributed_update import ddp

ROOT = Path(__file__).parents[2]
TENSOR_FILES = ("model.safetensors", "optimizer.safetensors")


def launch(part: str, folder: Path) -> None:
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2"]
    command += ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"]
    result = subprocess.run(
        [*command, "-m", "tests.learn.distributed_update", part, str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-4000:]


@pytest.mark.slow
def test_two_workers_learn_what_one_learns(tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    ddp(alone)
    launch("ddp", together)
    one, two = (json.loads((folder / "metrics.json").read_text()) for folder in (alone, together))
    assert (one["workers"], two["workers"]) == (1, 2)
    for left, right in zip(one["updates"], two["updates"], strict=True):
        assert left["engine_mismatch_tokens"] > 0
        assert right["loss"] == pytest.approx(left["loss"], abs=1e-6)
        assert right == pytest.approx(left, rel=1e-4, abs=1e-6)
    for name in TENSOR_FILES:
        left, right = (load_file(folder / "trainer" / name) for folder in (alone, together))
        assert left.keys() == right.keys()
        assert all(torch.allclose(left[key], right[key], atol=1e-5) for key in left)


@pytest.mark.slow
def test_a_state_put_into_a_sharded_model_and_read_back_is_the_same_state(tmp_path):
    ddp(tmp_path)
    launch("sharded", tmp_path)
    for name in TENSOR_FILES:
        left, right = (load_file(tmp_path / folder / name) for folder in ("trainer", "read_back"))
        assert left.keys() == right.keys()
        assert all(torch.equal(left[key], right[key]) for key in left)
