"""CPU, memory and GPUs of a stage's machine, in MLflow's page for system metrics."""

import math
import threading

import mlflow
import pytest

from crl.errors import ConfigError
from flows.tracking.machine import INTERVAL, SWITCH, of_gpus
from flows.tracking.recording import recorded, tracking_uri
from tests.flows.probes import runs
from tests.waiting import until

NAMES = {"cpu_utilization_percentage", "system_memory_usage_megabytes", "system_memory_usage_percentage"}


def test_the_machine_is_recorded_until_the_stage_ends_and_goes_on_when_it_is_resumed(checkout, quick, monkeypatch):
    monkeypatch.setenv(SWITCH, "true")
    monkeypatch.setenv(INTERVAL, "0.1")
    for _ in range(2):
        with recorded(quick, "prepare") as (record, _):
            until(
                lambda journal=record.tracker.journal: b"system/" in journal.file.read_bytes(),
                "the machine was looked at",
            )
        assert "crl-machine-watcher" not in {thread.name for thread in threading.enumerate()}
    [run] = runs("prepare")
    history = mlflow.MlflowClient(tracking_uri()).get_metric_history(
        run.info.run_id, "system/cpu_utilization_percentage"
    )
    steps = [point.step for point in sorted(history, key=lambda point: point.timestamp)]
    assert len(steps) >= 2
    assert steps == sorted(steps)
    assert {f"system/{name}" for name in NAMES} <= run.data.metrics.keys()
    assert 0 < run.data.metrics["system/system_memory_usage_percentage"] < 100


def test_an_interval_that_is_none_is_refused_with_the_remedy(checkout, quick, monkeypatch):
    monkeypatch.setenv(INTERVAL, "often")
    with pytest.raises(ConfigError, match=f"{INTERVAL} = 'often'.*Remedy"), recorded(quick, "prepare"):
        pass


def test_what_the_driver_says_of_each_gpu():
    found = of_gpus("0, 87, 71680, 143771\n1, [N/A], 0, 143771\n")
    assert found["gpu_0_utilization_percentage"] == 87.0
    assert found["gpu_0_memory_usage_megabytes"] == pytest.approx(75161.9, abs=0.1)
    assert found["gpu_0_memory_usage_percentage"] == pytest.approx(49.86, abs=0.01)
    assert math.isnan(found["gpu_1_utilization_percentage"])
    assert found["gpu_1_memory_usage_percentage"] == 0.0
