"""The flow that teams schedule: it runs the DVC pipeline as the command line would, and leaves the same `dvc.lock`.

Stages run as DVC's subprocesses with live logs; each stage's own flow run carries the tag `pipeline:<this run>`.
"""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from filelock import Timeout
from prefect import flow, get_client, get_run_logger, runtime, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled
from pydantic import Field

from crl.config.compose import profiles
from crl.errors import ConfigError
from flows.local import prefect_server, stops
from flows.local.command import command
from flows.stage import lineage, params, run_cache
from flows.stage.hold import locked
from flows.tracking import recording


def offered() -> tuple[str, ...]:
    """The profiles of the checkout that this is loaded in, a team's own among them: the form's list since its last deployment."""
    return profiles() or profiles(Path(__file__).parents[1] / "conf")


Profile = Literal[offered()]
Stage = Literal[lineage.STAGES]
_KEY = r"[\w$-]+(\.[\w$-]+)*"  # Hydra's grammar: change, +add, ++change or add, ~remove
_OVERRIDE = rf"^(\+{{0,2}}{_KEY}=.*|~{_KEY}(=.*)?)$"
_EXAMPLES = ["learn.actor.optimizer.lr=1e-5", "+tasks.mix.room-2.level=MiniHack-Room-5x5-v0", "~tasks.mix.maze"]
Override = Annotated[str, Field(pattern=_OVERRIDE, examples=_EXAMPLES)]
DVC = (sys.executable, "-m", "dvc")
LEASH = (sys.executable, "-P", str(Path(__file__).with_name("local") / "leash.py"))
LOCK = Path(".dvc/tmp/crl-pipeline.lock")
_BUSY = re.compile(r"Unable to acquire lock|is busy, it is being blocked by", re.IGNORECASE)
_POLL_S = 5.0


class DvcFailed(RuntimeError):
    """DVC ended with an error; its last lines are in the message."""


@flow(name="pipeline", flow_run_name="pipeline {profile}")
async def pipeline(
    profile: Profile = "quick",
    rounds: Annotated[int, Field(ge=1, le=10_000)] | None = None,
    overrides: tuple[Override, ...] = (),
    stages: tuple[Stage, ...] = (),
    wait_hours: Annotated[float, Field(gt=0, le=168)] = 24.0,
) -> None:
    """Bring the pipeline up to date, stage by stage; what is up to date already costs a second.

    Args:
        profile: which profile of `conf/profile` to run. Another than the file holds is refused where that loses values set by hand.
        rounds: how many rounds to play, 1 to 10,000; as `params.yaml` says when empty.
        overrides: changes for this run to what `params.yaml` holds, such as `rounds.count=4`; `+` adds a key, `~` removes one.
        stages: the stages to bring up to date, with what they depend on; all when empty.
        wait_hours: how long to wait for another pipeline run on this checkout, at most a week (168).

    Cost: ten minutes on 2 cores for `quick`, an hour for `laptop`; the `paper_*` profiles need GPUs.
    """
    needs_checkout()
    wanted = [stage for stage in lineage.STAGES if not stages or stage in stages]
    changes = [*overrides, *([f"rounds.count={rounds}"] if rounds else [])]
    async with checkout_to_itself(wait_hours * 3600):
        try:
            experiment = await asyncio.to_thread(params.ask, profile, changes, get_run_logger().info)
            run_cache.mend()
            for name, argv in commands(wanted, experiment=experiment):
                await dvc.with_options(task_run_name=name)(argv, stage_environment(), wait_hours * 3600)
            await asyncio.to_thread(recording.finish)
        except asyncio.CancelledError:
            await cancel_stage_runs()
            raise
        finally:
            await publish_links()


def commands(stages: Sequence[str], *, experiment: bool) -> list[tuple[str, list[str]]]:
    """(task name, DVC command): a `dvc repro` per stage, or one `dvc exp run` of `params.yaml` as it stands."""
    if not experiment:
        return [(stage, [*DVC, "repro", stage]) for stage in stages]
    return [("experiment", [*DVC, "exp", "run", *stages])]


def needs_checkout() -> None:
    """Raises ConfigError where DVC could not work: it keeps its pipelines in a Git repository."""
    here = Path.cwd()
    if not (here / ".dvc").is_dir():
        raise ConfigError(f"{here}: no checkout of this repository (no .dvc). Remedy: run in the repository's root")
    without_git = any("no_scm" in file.read_text() for file in (here / ".dvc").glob("config*"))
    if not without_git and not any((folder / ".git").exists() for folder in (here, *here.parents)):
        raise ConfigError(
            f"{here}: no Git repository (no .git), and DVC keeps its pipelines in one. Remedy: clone instead of copying, or "
            "`git init && git add -A && git commit -m start`; without Git and experiments: `dvc config core.no_scm true`"
        )


def stage_environment() -> dict[str, str]:
    """What the stages must know: this interpreter, where Prefect is, and which run started them."""
    api = prefect_server.configured_api()
    ids = {"CRL_PIPELINE_FLOW_RUN": str(runtime.flow_run.id), "PYTHONUNBUFFERED": "1"}
    return interpreter_first() | ids | ({"PREFECT_API_URL": api} if api else {})


def interpreter_first() -> dict[str, str]:
    """A PATH on which `python` (the stages' command) is this interpreter, activated or not."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


@contextlib.asynccontextmanager
async def checkout_to_itself(wait_s: float, lock: Path = LOCK) -> AsyncIterator[None]:
    """Only one pipeline run works in a checkout; the others wait here, visibly. Raises TimeoutError."""
    log = get_run_logger()
    told = f"another pipeline run is working in this checkout: waiting up to {wait_s:.0f} s"
    async with contextlib.AsyncExitStack() as stack:
        try:
            waited = await stack.enter_async_context(locked(lock, log.info, told, wait_s))
        except Timeout:
            raise TimeoutError(
                f"another pipeline run held {lock} for {wait_s:.0f} s. Remedy: raise wait_hours"
            ) from None
        if waited:
            log.info("the checkout is free: going on")
        yield


@task(cache_policy=NO_CACHE, persist_result=False)
async def dvc(command: list[str], environment: dict[str, str], wait_s: float) -> None:
    """Run one DVC command with live logs. Waits where a `dvc` of the command line is at work. Raises DvcFailed."""
    log, waited_s = get_run_logger(), 0.0
    while True:
        code, last_lines = await run_logged(command, environment, log.info)
        if code == 0:
            return
        if waited_s >= wait_s or not any(map(_BUSY.search, last_lines)):
            raise DvcFailed(f"`{' '.join(command)}` ended with {code}:\n" + "\n".join(last_lines))
        log.info("DVC is at work in this checkout: next try in %.0f s", _POLL_S)
        await asyncio.sleep(_POLL_S)
        waited_s += _POLL_S


async def run_logged(
    command: Sequence[str], environment: dict[str, str], log: Callable[..., None]
) -> tuple[int, list[str]]:
    """Run a command in a process group of its own, each line logged. Returns its exit status and last lines.

    A cancelled caller takes the whole group with it, and so does a killed one: `leash.py` asks it to stop, then kills it.
    """
    process = await asyncio.create_subprocess_exec(
        *LEASH,
        *command,
        env=os.environ | environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=2**20,
    )
    last_lines: list[str] = []
    try:
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            if line:
                log("%s", line)
                last_lines = [*last_lines[-29:], line]
        return await process.wait(), last_lines
    finally:
        process.stdin.close()
        await asyncio.shield(process.wait())


async def stage_runs_of_this() -> list[FlowRun]:
    """The flow runs of the stages that this run has started."""
    tag = FlowRunFilterTags(all_=[f"pipeline:{runtime.flow_run.id}"])
    async with get_client() as client:
        return await client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=tag))


async def cancel_stage_runs() -> None:
    """Say of the stages that ended with this run why they did: their processes could only report a crash, or nothing."""
    async with get_client() as client:
        for run in await stage_runs_of_this():
            if not (run.state.is_completed() or run.state.is_failed()):
                state = Cancelled(message="the pipeline run was cancelled")
                await client.set_flow_run_state(run.id, state, force=True)


async def publish_links() -> None:
    """A markdown artifact with the stages' flow runs and the MLflow runs."""
    run, stage_runs = lineage.load(), await stage_runs_of_this()
    pages = prefect_server.pages()
    lines = ["# Pipeline run", "", "| stage | state |", "|---|---|"]
    lines += [f"| [{r.name}]({pages}/runs/flow-run/{r.id}) | {r.state_name} |" for r in stage_runs]
    lines += [""] if stage_runs else ["", "Every stage was up to date.", ""]
    if run:
        lines += [f"MLflow: the runs tagged `crl.pipeline = {run.id}` in {recording.tracking_page()}"]
    await acreate_markdown_artifact(
        "\n".join(lines), key="pipeline-links", description="Stages and records of this run"
    )


@command()
def main() -> None:
    with prefect_server.running():
        stops.run(pipeline())


if __name__ == "__main__":
    sys.exit(main())
