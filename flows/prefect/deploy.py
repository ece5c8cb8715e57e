"""Brings everything of this repository to a Prefect server: work pool, limits, deployments, automations.

    python -m flows.prefect.deploy [--pool-limit 2] [--gpu-slots 1] [DEPLOYMENT...]     all deployments when none is named

A repeat is harmless: it renews deployments and automations; limits that a team has changed since stay, unless named here.
"""

import argparse
import asyncio
import os
import subprocess
import sys
from pathlib import Path

import yaml
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from crl.errors import ConfigError
from flows.local import prefect_server
from flows.local.command import command
from flows.prefect import automations
from flows.prefect.gpu import GPU, ensure_gpu_limit

FILE = Path("prefect.yaml")
POOL_RUNS = 2  # at once over all workers: one pipeline that works, one that looks into a stage


async def ensure_pool(name: str, runs: int | None) -> None:
    """The process work pool, with a limit of `runs` at once over all its workers; None keeps the limit it has."""
    async with get_client() as client:
        try:
            pool = await client.read_work_pool(name)
        except ObjectNotFound:
            wanted = WorkPoolCreate(name=name, type="process", concurrency_limit=POOL_RUNS if runs is None else runs)
            await client.create_work_pool(wanted)
            return
        if runs is not None and pool.concurrency_limit != runs:
            await client.update_work_pool(name, WorkPoolUpdate(concurrency_limit=runs))


async def set_gpu_slots(slots: int | None) -> None:
    """Slots of the limit that updates share (flows/prefect/gpu.py); None keeps the number it has."""
    if slots is None:
        await ensure_gpu_limit()
        return
    async with get_client() as client:
        await client.upsert_global_concurrency_limit_by_name(GPU, slots)


async def prepare(pool_runs: int | None, gpu_slots: int | None) -> None:
    """What deployments lean on: pool, limits, automations."""
    await ensure_pool(pool_name(), pool_runs)
    await set_gpu_slots(gpu_slots)
    await automations.apply(automations.automations())


def pool_name(file: Path = FILE) -> str:
    """The one work pool of prefect.yaml."""
    names = {deployment["work_pool"]["name"] for deployment in yaml.safe_load(file.read_text())["deployments"]}
    if len(names) != 1:
        raise ConfigError(f"{file} names the work pools {sorted(names)}. Remedy: use one for all deployments")
    return names.pop()


def _at_least_one(text: str) -> int:
    """Of a limit: with none nothing would ever run."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: no number from 1 on. Remedy: give how many may run at once")
    return int(text)


@command("the same command does the rest")
def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m flows.prefect.deploy", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--pool-limit", type=_at_least_one, help=f"runs at once over all workers (a new pool has {POOL_RUNS})"
    )
    parser.add_argument(
        "--gpu-slots", type=_at_least_one, help=f"updates at once over all runs: the limit `{GPU}` (new: 1)"
    )
    parser.add_argument("deployments", nargs="*", metavar="DEPLOYMENT", help="such as pipeline (default: all)")
    arguments = parser.parse_args()
    api = prefect_server.found_api()
    if api is None:
        parser.error(
            "no Prefect server. Remedy: set PREFECT_API_URL, or start one: python -m flows.local start prefect"
        )
    prefect_server.check(api)
    os.environ["PREFECT_API_URL"] = api
    with temporary_settings({PREFECT_API_URL: api}):
        asyncio.run(prepare(arguments.pool_limit, arguments.gpu_slots))
    chosen = [word for name in arguments.deployments for word in ("--name", name)] or ["--all"]
    code = subprocess.call([sys.executable, "-m", "prefect", "--no-prompt", "deploy", *chosen])
    if code == 0:
        print(f"deployed to {api}. Now: CRL_CHECKOUT=$PWD prefect worker start --pool {pool_name()}")  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
