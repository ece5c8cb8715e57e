"""CPU, memory and GPUs of the machine while a stage runs, by the names that MLflow's page for system metrics looks for.

MLflow's own monitor would write past the spool: it needs an active run, sends each sample itself and gives up where the
tracker is away. What is asked here costs a millisecond; where there are GPUs, a process of the driver's tool.
"""

import logging
import math
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from crl.errors import ConfigError
from flows.tracking.stage_record import StageRecord, now_ms

log = logging.getLogger(__name__)
SWITCH, INTERVAL = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"  # MLflow's own
_GPU = ["--query-gpu=index,utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits"]
_GPU_TIMEOUT_S = 4.0


@contextmanager
def watched(record: StageRecord, began_ms: int) -> Iterator[None]:
    """Record the machine every `INTERVAL` seconds (10) of the block, unless `SWITCH` says false.

    The step counts intervals since `began_ms`, so that a stage that is resumed goes on. Raises ConfigError for an interval that
    is none.
    """
    every_s, done = interval_s(), threading.Event()
    if os.environ.get(SWITCH, "true").lower() not in ("true", "1"):
        yield
        return
    watcher = threading.Thread(
        target=_watch, args=(record, began_ms, every_s, done), name="crl-machine-watcher", daemon=True
    )
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()  # at most _GPU_TIMEOUT_S: nothing may be recorded once the journal is closed


def interval_s() -> float:
    text = os.environ.get(INTERVAL, "10")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{INTERVAL} = {text!r}: no seconds above 0. Remedy: 10, or {SWITCH}=false")
    return seconds


def sample(gpu_tool: str | None) -> dict[str, float]:
    """Of now; the CPU's share is of the time since the last call."""
    memory = psutil.virtual_memory()
    found = {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": memory.used / 1e6,
        "system_memory_usage_percentage": memory.used / memory.total * 100,
    }
    if gpu_tool:
        done = subprocess.run([gpu_tool, *_GPU], capture_output=True, text=True, timeout=_GPU_TIMEOUT_S, check=True)
        found |= of_gpus(done.stdout)
    return {f"system/{name}": round(value, 1) for name, value in found.items()}


def of_gpus(table: str) -> dict[str, float]:
    """What nvidia-smi says (MiB); NaN for what a GPU does not tell, as `[N/A]`."""
    found = {}
    for index, busy, used, total in (line.split(",") for line in table.splitlines() if line.strip()):
        name = f"gpu_{index.strip()}"
        found[f"{name}_utilization_percentage"] = _number(busy)
        found[f"{name}_memory_usage_megabytes"] = _number(used) * 2**20 / 1e6
        found[f"{name}_memory_usage_percentage"] = _number(used) / _number(total) * 100
    return found


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _watch(record: StageRecord, began_ms: int, every_s: float, done: threading.Event) -> None:
    gpu_tool = shutil.which("nvidia-smi")
    psutil.cpu_percent()  # from here on
    while not done.wait(every_s):
        try:
            figures = sample(gpu_tool)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            log.warning("the machine is not asked for its GPUs any more: %s", error)
            gpu_tool = None
            continue
        if not done.is_set():
            at_ms = now_ms()
            record.metrics(figures, step=int((at_ms - began_ms) / 1000 / every_s), at_ms=at_ms)
