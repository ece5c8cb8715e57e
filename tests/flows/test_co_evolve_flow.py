"""The co-evolution's flow over a fake run: task runs, artifacts, DVC outs, MLflow record."""

import csv
import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pytest

from crl.errors import RunStopped
from crl.round.report import RoundReport
from crl.round.state import StateFolder
from flows.co_evolve import co_evolve_flow
from flows.local.process import free_port
from flows.stage import lineage, stored
from flows.stage.paths import BANK, MODELS, ROUNDS, STATE
from flows.tracking.recording import tracking_uri
from tests.flows.probes import artifacts
from tests.flows.test_figures import scraped

pytestmark = pytest.mark.usefixtures("prefect_server")


async def test_each_round_leaves_task_runs_artifacts_metrics_traces_and_dvc_outs(make_fake, quick):
    fake, began = make_fake(), datetime.now(UTC)
    await co_evolve_flow(Path("params.yaml"))

    assert fake.closed
    assert fake.finished
    assert await artifacts("experiences", began)
    rounds = sorted(artifact.data for artifact in await artifacts("co-evolve-round", began))
    assert len(rounds) == 2
    assert "# Round 1 of 2" in rounds[0]
    assert "Lineage `abcdef012345`" in rounds[0]
    assert "<b>" not in rounds[0]  # experience texts are model output
    [progress] = await artifacts("co-evolve-progress", began)
    assert progress.data == 100.0

    assert json.loads(Path("models/actor/config.json").read_text()) == {"role": "actor"}
    assert sorted(item.name for item in Path("bank").iterdir()) == ["round_0000", "round_0001"]
    header, *rows = csv.reader(Path("plots/rounds.csv").read_text().splitlines())
    assert header == ["round", "rollout/success_free", "rollout/success_guided"]
    assert rows == [["0", "0.25", ""], ["1", "0.35", ""]]

    client = mlflow.MlflowClient(tracking_uri())
    run = client.search_runs(["1"], "tags.`crl.stage` = 'co_evolve'")[0]
    assert run.info.status == "FINISHED"
    assert [metric.value for metric in client.get_metric_history(run.info.run_id, "rollout/success_free")] == [
        0.25,
        0.35,
    ]
    assert "rollout/success_guided" not in run.data.metrics
    assert client.get_run(run.data.tags["mlflow.parentRunId"]).data.tags["crl.pipeline"] == lineage.load().id
    assert len(client.search_traces(locations=["1"], run_id=run.info.run_id)) == 2
    version = client.get_model_version_by_alias("crl-agent", "candidate")
    assert version.run_id == run.info.run_id
    assert version.tags["crl.lineage"] == "abcdef012345"
    assert len(client.search_model_versions("name = 'crl-agent'")) == 2


async def test_a_run_killed_between_commit_and_record_has_each_round_once_afterwards(make_fake):
    fake = make_fake(rounds_total=3)
    original = fake.play_round

    async def stop_at_second(committed):
        if fake.next_round == 1:
            await fake._commit()  # committed, not recorded
            raise RunStopped("killed here")
        return await original(committed)

    fake.play_round = stop_at_second
    with pytest.raises(RunStopped):
        await co_evolve_flow(Path("params.yaml"))
    first = lineage.load()
    fake.play_round = original
    await co_evolve_flow(Path("params.yaml"))

    assert lineage.load().id == first.id  # the same pipeline run goes on
    client = mlflow.MlflowClient(tracking_uri())
    runs = client.search_runs(["1"], "tags.`crl.stage` = 'co_evolve'")
    assert [run.info.status for run in runs] == ["FINISHED"]
    history = client.get_metric_history(runs[0].info.run_id, "rollout/success_free")
    assert [metric.step for metric in history] == [0, 1, 2]
    assert len(client.search_traces(locations=["1"], max_results=50)) == 3


async def test_what_dvc_could_not_store_is_written_again_without_playing_and_is_recorded_once(make_fake, quick):
    fake = make_fake()
    await co_evolve_flow(Path("params.yaml"))
    assert fake.finished[str(ROUNDS)] == hashlib.md5(ROUNDS.read_bytes()).hexdigest()
    state = StateFolder(STATE / (known := lineage.of_stage(quick, "co_evolve")), known)
    state.finish(fake.finished)
    first, table = lineage.load().id, ROUNDS.read_bytes()
    for gone in (BANK, MODELS, ROUNDS.parent):  # DVC removes the outs before it starts the stage again
        shutil.rmtree(gone)
    await co_evolve_flow(Path("params.yaml"))

    assert (fake.next_round, ROUNDS.read_bytes(), len(list(BANK.iterdir()))) == (2, table, 2)
    assert lineage.load().id == first  # the same pipeline run
    client = mlflow.MlflowClient(tracking_uri())
    [run] = client.search_runs(["1"], "tags.`crl.stage` = 'co_evolve'")
    assert run.info.status == "FINISHED"
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "rollout/success_free")] == [0, 1]
    assert len(client.search_model_versions("name = 'crl-agent'")) == 2

    entries = [{"path": path, "md5": md5} for path, md5 in fake.finished.items()]
    for held, expected in ((entries[1:], fake.finished), (entries, None)):
        lineage.LOCK.write_text(json.dumps({"stages": {"co_evolve": {"outs": held}}}))
        stored.look()
        assert state.outs_to_store() == expected


async def test_what_the_last_round_carried_over_reaches_metrics_plots_and_mlflow(make_fake):
    figures = {"actor/flat_share": 0.5, "extractor/score_mean": 0.25, "rollout/success_free": float("nan")}
    fake = make_fake(closing=RoundReport(2, figures, "After the last round: it learned.", closing=True))
    await co_evolve_flow(Path("params.yaml"))
    fake.next_round = 2
    await co_evolve_flow(Path("params.yaml"))  # killed before DVC stored it, say: nothing is there twice

    header, *rows = csv.reader(Path("plots/rounds.csv").read_text().splitlines())
    assert [row[header.index("round")] for row in rows] == ["0", "1", "2"]
    assert [row[header.index("actor/flat_share")] for row in rows] == ["", "", "0.5"]
    stored = json.loads(Path("metrics/co_evolve.json").read_text())
    assert stored == {"actor/flat_share": 0.5, "extractor/score_mean": 0.25, "rollout/success_free": 0.35}
    client = mlflow.MlflowClient(tracking_uri())
    [run] = client.search_runs(["1"], "tags.`crl.stage` = 'co_evolve'")
    found = client.get_metric_history(run.info.run_id, "actor/flat_share")
    assert [(metric.step, metric.value) for metric in found] == [(2, 0.5)]


async def test_figures_of_the_running_round_are_answered_while_rounds_are_played(make_fake, monkeypatch):
    fake, seen, address = make_fake(), [], f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("CRL_METRICS_ADDRESS", address)
    original = fake.play_round

    async def play_round(committed):
        seen.append(scraped(address))
        return await original(committed)

    fake.play_round = play_round
    await co_evolve_flow(Path("params.yaml"))
    assert [(each["crl_rounds_committed"], each["crl_rounds_planned"]) for each in seen] == [(0, 2), (1, 2)]
    assert [each.get("crl_last_round{metric=rollout/success_free}") for each in seen] == [None, 0.25]
    with pytest.raises(OSError, match="refused"):
        scraped(address)


async def test_a_failed_run_is_recorded_as_failed_and_closed(make_fake):
    fake = make_fake(fail_once={"update-actor": RunStopped("too many failures")})
    with pytest.raises(RunStopped):
        await co_evolve_flow(Path("params.yaml"))
    assert fake.closed
    assert not fake.finished
    client = mlflow.MlflowClient(tracking_uri())
    assert client.search_runs(["1"], "tags.`crl.stage` = 'co_evolve'")[0].info.status == "FAILED"
