"""What is done to a pipeline that runs. Each fault strikes once and leaves the world as a person would leave it."""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import mlflow

from benchmarks.soak.world import Disk, Run, Servers

FULL_S = 120.0  # a disk stays full for so long, unless the run ends before
AWAY_S = 8.0  # a server that was killed, at most


@dataclass
class Struck:
    """Everything that a fault may touch."""

    run: Run
    disk: Disk
    servers: Servers | None  # None: the run uses what it starts by itself
    rng: random.Random


def kill_the_command(struck: Struck) -> None:
    struck.run.process.kill()


def kill_everything(struck: Struck) -> None:
    struck.run.kill()


def kill_one(struck: Struck) -> None:
    """Any process of the run: a stage, DVC, the gates, an environment worker, the leash, the server."""
    if alive := sorted(struck.run.alive(), key=lambda process: process.pid):
        struck.rng.choice(alive).kill()


def terminate(struck: Struck) -> None:
    struck.run.process.terminate()


def interrupt(struck: Struck) -> None:
    struck.run.process.send_signal(signal.SIGINT)


def interrupt_twice(struck: Struck) -> None:
    interrupt(struck)
    time.sleep(struck.rng.uniform(0.0, 2.0))
    if struck.run.process.poll() is None:
        interrupt(struck)


def fill_the_disk(struck: Struck) -> None:
    struck.disk.fill(leave_bytes=struck.rng.choice((0, 4096, 65_536, 1 << 20)))
    struck.run.ended(FULL_S)
    struck.disk.empty()


def move_the_checkout(struck: Struck) -> None:
    kill_everything(struck)
    before = struck.run.checkout
    struck.run.checkout = before.rename(before.with_name(f"moved-{time.time_ns():x}"))


def restart_a_server(struck: Struck) -> None:
    struck.servers.kill(struck.rng.choice(("prefect", "mlflow")))
    time.sleep(struck.rng.uniform(0.0, AWAY_S))
    struck.servers.start()


def delete_a_version(struck: Struck) -> None:
    """The newest version of the agent, which may be the champion."""
    client = mlflow.MlflowClient(struck.servers.addresses["MLFLOW_TRACKING_URI"])
    if found := client.search_model_versions():
        newest = max(found, key=lambda version: int(version.version))
        client.delete_model_version(newest.name, newest.version)


Fault = Callable[[Struck], None]
ALONE: tuple[Fault, ...] = (
    kill_the_command, kill_everything, kill_one, terminate, interrupt, interrupt_twice, fill_the_disk, move_the_checkout,
)  # fmt: skip
WITH_SERVERS: tuple[Fault, ...] = (*ALONE, restart_a_server, restart_a_server, delete_a_version)
