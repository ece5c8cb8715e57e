"""Stage `evaluate`: held-out levels, before and after, with and without experience.

Reads `data/mix/`, `runs/warm_start/actor`, `models/actor` and `bank/`; writes `metrics/evaluate.json`,
`metrics/held_out.json`, `plots/evaluate.csv`, `records/evaluation_transcripts.jsonl` and `records/evaluation_episodes.json`.
Then it compares the trained agent with the registry's champion, which gives way when the comparison passes its bound.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact

from crl.config import Config, load
from crl.config.base import flatten
from crl.evaluation.held_out import EvaluationReport, candidates, evaluate
from crl.evaluation.statistics import ARMS, PHASES, EvaluationSummary
from crl.files import read_json, write_json
from crl.tasks.sets import TaskSets, levels_digest
from flows.prefect.entry import PARAMS, console, main, run_name
from flows.prefect.units import in_thread
from flows.stage.outs import write_lines, write_table
from flows.stage.paths import (
    BANK,
    BASE,
    CELLS,
    EVALUATION_EPISODES,
    EVALUATION_TRANSCRIPTS,
    HEADLINE,
    MIX,
    MODELS,
    metrics_of,
)
from flows.stage.progress import StageProgress
from flows.tracking.prompts import PLAYED, record_prompts
from flows.tracking.recording import recorded
from flows.tracking.stage_record import StageRecord


@flow(name="evaluate", flow_run_name=run_name)
async def evaluate_flow(params: Path = PARAMS) -> None:
    """Play every held-out level four times: base and trained actor, free and guided. Then settle who is champion.

    Cost: about a minute on 2 cores for the profile `quick`; half of it again if the champion must be played, too.
    """
    config = load(params)
    with recorded(config, "evaluate") as (record, _):
        record_prompts(record, config, PLAYED)
        async with StageProgress("evaluate", console, stall_s=config.run.stall_s).shown() as progress:
            tasks = TaskSets.read(MIX, config.tasks.mix)
            phases = candidates(BASE, MODELS, BANK, config.rounds.bank_warmup)
            # Evaluation draws from streams of its own: a repeat gives the same figures.
            report = await in_thread(evaluate, config, tasks.evaluation, phases, progress, retries=1)
            write_figures(report)
            from flows.registry import contest  # MLflow: 2 s that the levels do not wait for

            # Not retried: what the registry does not answer is postponed, and says so.
            decision = await in_thread(contest.settle, config, tasks.evaluation, report.rows, record, progress)
            record_figures(config, tasks, report, record)
            progress.line(f"{decision.verdict}: {decision.reason}")
        rows = list(cell_rows(report))
        await acreate_table_artifact(rows, key="evaluation", description="Success on held-out levels")
        await acreate_markdown_artifact(decision.markdown(), key="champion", description=decision.reason)


def write_figures(report: EvaluationReport) -> None:
    """What DVC tracks."""
    write_json(metrics_of("evaluate"), report.summary.as_json())
    write_json(HEADLINE, headline(report.summary))
    write_table(CELLS, cell_rows(report))
    write_lines(EVALUATION_TRANSCRIPTS, report.transcripts)


def record_figures(config: Config, sets: TaskSets, report: EvaluationReport, record: StageRecord) -> None:
    """With the levels; those of the trained agent belong to its logged model."""
    levels = {name: [[task.level, task.seed] for task in tasks] for name, tasks in sets.held_out.items()}
    content = {"num_rows": len(sets.evaluation), "seed_of_sampling": config.run.seed, "levels_and_seeds": levels}
    panel = record.panel("held-out panel", levels_digest(sets.evaluation), MIX, content)
    figures = {f"eval/{name.replace('.', '/')}": value for name, value in flatten(report.summary.as_json())}
    of_base = {name: value for name, value in figures.items() if name.startswith("eval/before/")}
    record.metrics(of_base)
    of_agent = {name: value for name, value in figures.items() if name not in of_base}
    record.metrics(of_agent, model=read_json(EVALUATION_EPISODES)["agent"], dataset=panel)
    record.file(CELLS, "plots")


def headline(summary: EvaluationSummary) -> dict[str, float]:
    """The few figures that `dvc metrics diff` and `dvc exp show` have room for; all of them are in evaluate.json."""
    cells = {f"{arm}_{phase}": summary.cell(phase, arm) for arm in ARMS for phase in PHASES}
    gains = {arm: summary.difference("after_minus_before", arm) for arm in ARMS}
    figures = {name: cell.success for name, cell in cells.items() if cell}
    return figures | {f"{arm}_gain_low": gain.success_low for arm, gain in gains.items() if gain}


def cell_rows(report: EvaluationReport) -> Iterator[dict[str, str | float]]:
    """One row per cell, for `dvc plots` and the artifact."""
    for (phase, arm, name), estimate in report.summary.cells.items():
        yield {"cell": f"{phase}, {arm}", "task": name, **asdict(estimate)}


if __name__ == "__main__":
    main(evaluate_flow)
