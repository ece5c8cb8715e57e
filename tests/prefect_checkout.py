"""A checkout with a Prefect server, everything deployed and a worker, for tests that watch runs from outside.

The flow `pipeline`, DVC, the deployments and `flows.prefect.entry` are the real ones. The stages are small: `co_evolve` counts
rounds in a file, its checkpoint, and holds a container meanwhile, where an engine runs.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
import yaml
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import SetStateStatus
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.local import prefect_server
from flows.stage import lineage
from tests.end_to_end import ROOT, environment

ROUNDS = 10
WAIT_S = 300.0  # for a worker that starts a run that starts DVC that starts a stage, on a busy machine
HOLD = """
import asyncio
from prefect import flow

@flow(name="hold", flow_run_name="hold")
async def hold() -> None:
    await asyncio.sleep(600)
"""
STAGE = """
import asyncio
from pathlib import Path
from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from flows.prefect.entry import main
from flows.prefect.units import run_as_task

ROUNDS, STATE = {rounds}, Path("runs/rounds.txt")

def container():
    global POOL
    from crl.config.sandbox import SandboxConfig
    from crl.sandbox.errors import SandboxUnavailable
    from crl.sandbox.pool import SandboxPool
    POOL = SandboxPool(SandboxConfig(warm=0))
    try:
        return POOL.take().id
    except SandboxUnavailable as error:
        return f"none: {{error}}"

async def unit():
    await asyncio.sleep(0.3)

@flow(name="co_evolve", flow_run_name="co_evolve toy")
async def co_evolve_flow(params: Path = Path("params.yaml")) -> None:
    Path("runs/container.txt").write_text(await asyncio.to_thread(container))
    while (done := len(STATE.read_text().split()) if STATE.exists() else 0) < ROUNDS:
        await asyncio.gather(*(run_as_task(f"rollout-shard-{{i}}", unit) for i in range(2)))
        await run_as_task("distil-0", unit)
        await run_as_task("commit", unit)
        with STATE.open("a") as file:
            file.write(f"{{done}}\\n")
        await acreate_markdown_artifact(f"# Round {{done + 1}} of {{ROUNDS}}\\n\\nIt counted.", key="co-evolve-round")
    Path("rounds.txt").write_text(STATE.read_text())

if __name__ == "__main__":
    main(co_evolve_flow)
"""


@dataclass(frozen=True)
class Team:
    """A server with its pages, and the checkout that a worker runs from."""

    folder: Path
    url: str

    @property
    def environment(self) -> dict[str, str]:
        here = {"PREFECT_API_URL": f"{self.url}/api", "CRL_CHECKOUT": str(self.folder), "PYTHONPATH": str(ROOT)}
        return environment(self.folder) | here | {"PREFECT_WORKER_QUERY_SECONDS": "1", "OMP_NUM_THREADS": "1"}

    def call(self, *command: str) -> str:
        """The output of `python -m COMMAND` in the checkout."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=480, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[PrefectClient]:
        with temporary_settings({PREFECT_API_URL: f"{self.url}/api"}):
            async with get_client() as client:
                yield client

    async def start(self, deployment: str, **parameters: object) -> UUID:
        async with self.client() as client:
            found = await client.read_deployment_by_name(deployment)
            return (await client.create_flow_run_from_deployment(found.id, parameters=parameters)).id

    async def state(self, run: UUID) -> State:
        async with self.client() as client:
            return (await client.read_flow_run(run)).state

    async def set_state(self, run: UUID, state: State) -> None:
        """What the buttons `Cancel` and `Retry` of the run's page do."""
        async with self.client() as client:
            answer = await client.set_flow_run_state(run, state)
            assert answer.status is SetStateStatus.ACCEPT, answer

    async def reaches(self, run: UUID, name: str, wait_s: float = WAIT_S) -> State:
        """Wait until the run is in the state of this name."""

        seen: list[str] = []

        async def there() -> bool:
            state = await self.state(run)
            if (told := f"{state.name}: {state.message}") not in seen[-1:]:
                seen.append(told)
            return state.name == name

        await until(f"{run} is {name}", there, wait_s, seen)
        return await self.state(run)

    def worker(self) -> subprocess.Popen:
        log = (self.folder / "worker.log").open("ab")
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "local"]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def rounds(self) -> list[str]:
        state = self.folder / "runs/rounds.txt"
        return state.read_text().split() if state.is_file() else []

    def container(self) -> str:
        note = self.folder / "runs/container.txt"
        return note.read_text() if note.is_file() else ""

    def kill_all(self, word: str = "") -> None:
        """SIGKILL to every process of a run, or to those with the word in their command."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(word in part for part in process.cmdline()):
                    process.kill()

    def processes(self) -> list[psutil.Process]:
        """What works in the checkout now, but for worker and server."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            try:
                words = " ".join(process.info["cmdline"] or [])
                here = process.cwd() == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if here and any(
                name in words for name in ("dvc", "toy_stage", "prefect.engine", "prefect flow-run", "leash")
            ):
                found.append(process)
        return found


def make_folder(folder: Path, rounds: int = ROUNDS) -> Path:
    """A DVC repository with small stages around the repository's own flows, deployments and parameters."""
    for name in ("flows", "conf"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("prefect.yaml", "params.yaml"):
        (folder / name).write_text((ROOT / name).read_text())
    (folder / "runs").mkdir()
    (folder / "hold.py").write_text(HOLD)
    deployments = yaml.safe_load((folder / "prefect.yaml").read_text())
    hold = {"name": "hold", "entrypoint": "hold.py:hold", "concurrency_limit": None}
    deployments["deployments"].append({**deployments["deployments"][0], **hold, "parameters": {}, "schedules": []})
    (folder / "prefect.yaml").write_text(yaml.safe_dump(deployments))
    (folder / "toy_stage.py").write_text(STAGE.format(rounds=rounds))
    stages: dict[str, dict] = {
        name: {"cmd": f"echo {name} > {name}.txt", "outs": [f"{name}.txt"]} for name in lineage.STAGES
    }
    stages["co_evolve"] = {"cmd": "python toy_stage.py", "outs": ["rounds.txt"], "deps": ["toy_stage.py"]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Team]:
    """A Prefect server of the folder's own. Nothing runs on after the block."""
    made = Team(folder, prefect_server.PrefectServer(folder / ".prefect").start().url)
    try:
        yield made
    finally:
        made.kill_all()
        prefect_server.PrefectServer(folder / ".prefect").stop()
        log = folder / "worker.log"
        print(
            log.read_text(errors="replace")[-4000:] if log.is_file() else "no worker was started"
        )  # pytest shows it on failure


def kill_session(process: subprocess.Popen, sign: int = signal.SIGTERM) -> None:
    """End a process that leads a session, and what it started in it."""
    try:
        os.killpg(process.pid, sign)
        process.wait(20)
    except ProcessLookupError:
        return
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def until(
    what: str, holds: Callable[[], Awaitable[bool] | bool], wait_s: float = WAIT_S, seen: Sequence[str] = ()
) -> None:
    """Wait until `holds`; the failure names `what`, and what was `seen` meanwhile."""
    deadline = time.monotonic() + wait_s
    while True:
        answer = holds()
        if await answer if isinstance(answer, Awaitable) else answer:
            return
        assert time.monotonic() < deadline, f"not within {wait_s} s: {what}; seen: {seen}"
        await asyncio.sleep(0.25)
