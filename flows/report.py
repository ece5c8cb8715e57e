"""Stage `report`: the Markdown report, the self-contained HTML page, and the bank's page beside it.

Reads what the stages before it wrote; writes `reports/`, and where the run was played `times.html` into its working state.
"""

from pathlib import Path

from prefect import flow

from crl.bank.snapshot import FILE_NAME as SNAPSHOT
from crl.config import Config, load
from crl.config.compose import composed, profiles
from crl.files import round_folder, rounds_in
from crl.report.bank_history import History
from crl.report.bank_page import NAME as BANK_PAGE
from crl.report.bank_page import write_bank_page
from crl.report.facts import machine, parameters, versions
from crl.report.inputs import (
    ReportInputs,
    RunFacts,
    read_effects,
    read_evaluation,
    read_mix,
    read_rounds,
    read_transcripts,
    read_tried,
    stored_transcripts,
)
from crl.report.page import write_report
from crl.report.times import write_times_page
from crl.tasks.sets import TaskSets, levels_digest
from flows.prefect.entry import PARAMS, main, run_name
from flows.prefect.units import in_thread
from flows.stage.paths import (
    BANK,
    EFFECTS,
    EVALUATION_TRANSCRIPTS,
    HOME,
    MIX,
    PASS_RATE,
    REPORTS,
    ROUNDS,
    TRANSCRIPTS,
    metrics_of,
    times_page_of,
    timings_of,
)
from flows.tracking.recording import recorded


def render(config: Config, run: RunFacts) -> None:
    reference = composed(config.profile) if config.profile in profiles() else config
    bounds = {"above": config.filter.above, "at_most": config.filter.at_most}
    inputs = ReportInputs(
        evaluation=read_evaluation(metrics_of("evaluate")),
        rounds=read_rounds(ROUNDS),
        run=run,
        effects=read_effects(EFFECTS),
        transcripts=read_transcripts(EVALUATION_TRANSCRIPTS),
        parameters=parameters(config, reference),
        mix=read_mix(metrics_of("filter")),
        tried=read_tried(PASS_RATE, policy=config.pass_rate.policy, **bounds),
        bank_page=BANK_PAGE,
    )
    write_report(inputs, REPORTS)
    history = History.of_snapshots({round_: round_folder(BANK, round_) / SNAPSHOT for round_ in rounds_in(BANK)})
    transcripts = stored_transcripts(TRANSCRIPTS, "co_evolve")
    write_bank_page(history, REPORTS / BANK_PAGE, retrieval=config.retrieval, transcripts=transcripts)


@flow(name="report", flow_run_name=run_name)
async def report_flow(params: Path = PARAMS) -> None:
    """Write the report. Cost: seconds."""
    config = load(params)
    with recorded(config, "report") as (record, known):
        commands = ("make run",) if config.profile == "quick" else (f"python -m flows.run --profile {config.profile}",)
        facts = RunFacts(
            lineage=known,
            profile=config.profile,
            schedule=config.run.schedule,
            seed=config.run.seed,
            machine=machine(),
            versions=versions(),
            commands=commands,
            levels=levels_digest(TaskSets.read(MIX, config.tasks.mix).evaluation),
            times=str(times_page_of(known).relative_to(HOME)),
        )
        await in_thread(render, config, facts, retries=1)  # the same inputs give the same bytes
        record.file(REPORTS / "report.html", "report")
        record.file(REPORTS / "report.md", "report")
        record.file(REPORTS / BANK_PAGE, "report")
        if timings_of(known).is_file():  # not where DVC brought the run back: then MLflow alone has its seconds
            write_times_page(read_rounds(timings_of(known)), known, times_page_of(known))
            record.file(times_page_of(known), "report")


if __name__ == "__main__":
    main(report_flow)
