"""Stage `co_evolve`: the policy and the experience extractor train each other, round by round.

Reads `params.yaml`, `data/mix/` and `runs/warm_start/`; keeps its working state in `runs/co_evolve/<lineage>/`, from which a killed
run goes on; writes `models/`, `bank/`, `records/`, `metrics/co_evolve.json` and `plots/rounds.csv` at its end. Until DVC holds
these, a start of the complete run writes them again.
"""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact

from crl.bank.snapshot import FILE_NAME
from crl.config import Config, load
from crl.config.addresses import addresses
from crl.doctor.room import refuse_without_room
from crl.files import round_folder
from crl.round.coevolution import CoEvolution
from crl.round.commit import report_file, reports
from crl.round.hooks import Hooks, Unit
from crl.round.report import RoundReport
from crl.round.shards import Home, ShardOrder, ShardResult
from crl.tasks.sets import TaskSets
from flows.cluster import crew_starter, shard_player
from flows.gates.worker import RunGates
from flows.prefect.artifacts import effect_rows, round_markdown
from flows.prefect.entry import PARAMS, console, main, run_name
from flows.prefect.gpu import ensure_gpu_limit
from flows.prefect.units import run_as_task
from flows.registry import agents
from flows.stage import outs, stored
from flows.stage.figures import Figures, served
from flows.stage.hold import held
from flows.stage.paths import BASE, DATA_DOCS, EFFECTS, MIX, MODELS, ROUNDS, STATE
from flows.stage.progress import StageProgress
from flows.tracking.prompts import record_prompts
from flows.tracking.recording import recorded
from flows.tracking.stage_record import StageRecord


@flow(name="co_evolve", flow_run_name=run_name)
async def co_evolve_flow(params: Path = PARAMS) -> None:
    """Play the rounds: shards and distillations run at once, updates one at a time under the limit `gpu`.

    Cost: three to six minutes on 2 cores for the profile `quick`, an hour for `laptop`, days of GPU for `paper_*`.
    Shards and distillations are retried; an update is not. Killed at any moment, the same command goes on.
    """
    config = load(params)
    await ensure_gpu_limit()
    with recorded(config, "co_evolve") as (record, lineage):
        async with held(STATE / lineage, console.print):
            await _run(config, params, record, lineage)


async def _run(config: Config, params: Path, record: StageRecord, lineage: str) -> None:
    refuse_without_room(config)
    record_prompts(record, config)
    tasks = TaskSets.read(MIX, config.tasks.mix)
    base = {role: BASE / role for role in ("actor", "extractor")}
    gates = RunGates(config, params, DATA_DOCS)
    progress = StageProgress("co_evolve", console, whole="rounds", stall_s=config.run.stall_s)
    figures = Figures(config, lineage, progress)
    with served(figures, addresses(config.servers).metrics, progress.line), shard_player(config) as play_shard:

        async def run_unit(name: str, work: Unit) -> Any:
            with progress.at(name, beside=not name.startswith("rollout-")):
                return await run_as_task(name, work)

        async def play_there(home: Home, order: ShardOrder) -> ShardResult:
            with progress.at(order.shard.name, beside=False):
                return await play_shard(home, order)

        there = {"play_shard": play_shard and play_there, "start_crew": crew_starter(config)}
        hooks = Hooks(run_unit, gates.rollouts, follow=progress.follow, journal=True, **there)
        co = CoEvolution.open(config, folder=STATE, tasks=tasks, hooks=hooks, **base)
        progress.watch(partial(pulse, co), config)
        try:
            async with gates, progress.shown():
                await _play_rounds(co, record, gates, progress, figures)
            publish_outs(co, record)
            co.parts.state.finish(stored.digests())
        finally:
            await co.close()


def pulse(co: CoEvolution) -> tuple[object, ...]:
    """What moves beside steps and episodes: spans, and tokens of either engine."""
    return co.spans.pulse, *(learner.engine.tokens for learner in (co.parts.actor, co.parts.extractor))


async def _play_rounds(
    co: CoEvolution, record: StageRecord, gates: RunGates, progress: StageProgress, figures: Figures
) -> None:
    async def committed(report: RoundReport) -> None:
        await _record_round(co, record, gates, figures, report)
        await publish_round(report, co.rounds_total, co.lineage)
        progress.line(f"{report.round + 1}/{co.rounds_total} {report.learned}")

    if co.next_round > 0:  # the end may have come between the commit and its record, or before the bank's gate
        await committed([report for report in reports(co.parts.state.path) if not report.closing][-1])
    if co.next_round == co.rounds_total:
        progress.line(
            f"all {co.rounds_total} rounds were played: what they put out is written once more, and nothing is played. "
            f"To play anew, remove {co.parts.state.path}"
        )
    progress("rounds", co.next_round, co.rounds_total)
    while co.next_round < co.rounds_total:
        await co.play_round(committed)
        progress("rounds", co.next_round, co.rounds_total)
    if closing := await co.finish():
        _record_report(co, record, figures, closing)
        progress.line(closing.learned)
    gates.snapshot(co.next_round - 1, _newest_bank(co))  # what the last round carried over is in it now


def _newest_bank(co: CoEvolution) -> Path:
    return round_folder(co.parts.state.snapshots, co.next_round - 1) / FILE_NAME


async def _record_round(
    co: CoEvolution, record: StageRecord, gates: RunGates, figures: Figures, report: RoundReport
) -> None:
    """The bank's gate, the agent that the round made, and what belongs to it: one batch of metrics, the traces."""
    gates.snapshot(report.round, _newest_bank(co))
    agent = await asyncio.to_thread(agents.candidate, record, co, report)
    _record_report(co, record, figures, report, agent.id)


def _record_report(
    co: CoEvolution, record: StageRecord, figures: Figures, report: RoundReport, agent: str | None = None
) -> None:
    """Stamped with the commit's time, so that a repeat is the same metric."""
    committed_s = report_file(co.parts.state.path, report).stat().st_mtime
    record.metrics(report.metrics, step=report.round, at_ms=int(committed_s * 1000), model=agent)
    figures.committed(report, committed_s)
    for trace in report.traces:
        record.trace(trace, model=agent)


async def publish_round(report: RoundReport, rounds_total: int, lineage: str) -> None:
    """The round in Prefect's pages."""
    markdown = round_markdown(report, rounds_total, lineage)
    await acreate_markdown_artifact(
        markdown, key="co-evolve-round", description=f"Round {report.round + 1}: {report.learned}"
    )
    if rows := effect_rows(report):
        await acreate_table_artifact(
            rows, key="experiences", description="Entries with the best and the worst measured effect"
        )


def publish_outs(co: CoEvolution, record: StageRecord) -> None:
    """Write what DVC tracks; register the agent that it makes."""
    for learner in (co.parts.actor, co.parts.extractor):
        learner.export(MODELS / learner.role)
    outs.publish(reports(co.parts.state.path), co.parts.state.snapshots, co.lineage)
    agents.published(record, co.config, co.lineage)
    record.file(ROUNDS, "plots")
    record.file(EFFECTS, "bank")


if __name__ == "__main__":
    main(co_evolve_flow)
