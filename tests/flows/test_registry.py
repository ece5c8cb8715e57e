"""Every committed round is one registered agent: actor, extractor and bank together, cheaply, and never in the way."""

import json
from pathlib import Path

import mlflow
import pytest

from crl.errors import DataError
from crl.evaluation.held_out import EvaluationReport
from crl.evaluation.statistics import Estimate, EvaluationSummary
from crl.files import prune, write_json
from crl.tasks.sets import TaskSets, levels_digest
from flows.evaluate import record_figures
from flows.registry import agents
from flows.registry.champion import Champions
from flows.stage import lineage
from flows.stage.outs import write_table
from flows.stage.paths import CELLS, EVALUATION_EPISODES, MIX
from flows.tracking.recording import SPOOL, recorded, tracking_uri
from flows.tracking.sender import Sender
from tests.flows.agents import commit_round, fake_run

MODEL = "crl-agent"


@pytest.fixture
def rules(tmp_path, monkeypatch):
    """Writes another policy: `rules(keep_candidates=2)`."""

    def write(**changes: object) -> None:
        import yaml

        values = yaml.safe_load((Path(agents.__file__).parents[2] / "mlflow/registry.yaml").read_text()) | changes
        (tmp_path / "registry.yaml").write_text(yaml.safe_dump(values))
        monkeypatch.setattr(agents, "POLICY", tmp_path / "registry.yaml")

    return write


def play(config, run, *rounds: int) -> None:
    """A stage that commits and registers these rounds."""
    with recorded(config, "prepare") as (record, _):
        for round_ in rounds:
            agents.candidate(record, run, commit_round(run, round_))


def versions() -> list:
    return sorted(
        mlflow.MlflowClient(tracking_uri()).search_model_versions(f"name = '{MODEL}'"), key=lambda v: int(v.version)
    )


def files(version) -> set[str]:
    """Paths inside a version's folder."""
    client, place = mlflow.MlflowClient(tracking_uri()), version.source.removeprefix("runs:/").partition("/")[2]

    def below(path: str):
        for item in client.list_artifacts(version.run_id, path):
            yield from below(item.path) if item.is_dir else [item.path.removeprefix(f"{place}/")]

    return set(below(place))


def test_each_round_is_one_version_that_names_all_three_parts_and_the_newest_is_the_candidate(checkout, quick):
    run = fake_run(quick, checkout / "state")
    play(quick, run, 0, 1)
    first, second = versions()
    assert [version.tags["crl.round"] for version in (first, second)] == ["0", "1"]
    for part in agents.PARTS:
        assert first.tags[f"crl.digest.{part}"] != second.tags[f"crl.digest.{part}"]
    assert second.tags["crl.lineage"] == run.lineage
    assert second.tags["crl.updates.actor"] == "2"
    held = files(second)
    assert {
        "MLmodel",
        "artifacts/actor/config.json",
        "artifacts/extractor/config.json",
        "artifacts/bank/bank.parquet",
    } <= held
    client = mlflow.MlflowClient(tracking_uri())
    assert client.get_model_version_by_alias(MODEL, "candidate").version == second.version
    assert client.get_run(second.run_id).data.tags["crl.stage"] == "prepare"


def test_a_round_that_is_recorded_again_after_a_kill_is_the_same_version(checkout, quick):
    run = fake_run(quick, checkout / "state")
    play(quick, run, 0)
    with recorded(quick, "prepare") as (record, _):
        agents.candidate(record, run, type("Report", (), {"round": 0}))
    assert len(versions()) == 1


def test_a_large_agent_is_registered_by_reference_and_cannot_become_champion(checkout, quick, rules):
    rules(files_up_to_mb=0)
    run = fake_run(quick, checkout / "state")
    play(quick, run, 0)
    [version] = versions()
    assert files(version) == {"agent.json"}
    folder = mlflow.MlflowClient(tracking_uri()).download_artifacts(
        version.run_id, version.source.removeprefix("runs:/").partition("/")[2], str(checkout)
    )
    described = json.loads((Path(folder) / "agent.json").read_text())
    assert described["checkpoint"] == f"runs/co_evolve/{run.lineage}/checkpoints/round_0000"
    assert described["digests"]["actor"] == version.tags["crl.digest.actor"]
    assert "servers" not in described["config"]
    with pytest.raises(DataError, match="holds no files"):
        Champions(tracking_uri()).promote(1, over=None)


@pytest.mark.parametrize("name", ["model.safetensors", "adapter_model.safetensors"])
def test_an_agent_by_reference_is_told_by_what_learned(name, tmp_path):
    for round_ in (0, 1):
        for role in agents.ROLES:
            (tmp_path / str(round_) / role).mkdir(parents=True)
            (tmp_path / str(round_) / role / name).write_bytes(f"{role} {round_}".encode())
    assert len({digest for round_ in "01" for digest in agents._digests_of(tmp_path / round_)}) == 4


def test_old_candidates_go_with_their_files_and_what_was_evaluated_or_serves_stays(checkout, quick, rules):
    rules(keep_candidates=2)
    run, other = fake_run(quick, checkout / "state"), fake_run(quick, checkout / "other", "fedcba543210")
    play(quick, other, 0)
    play(quick, run, 0, 1)
    champions = Champions(tracking_uri())
    champions.promote(2, over=None)
    champions.note(3, {"crl.decision": "refused"})
    lineage.LOCK.touch()  # DVC has stored it: the next one is a pipeline run of its own
    play(quick, run, 2, 3, 4, 5)
    assert [int(version.version) for version in versions()] == [1, 2, 3, 6, 7]
    run_id = versions()[-1].run_id
    folders = mlflow.MlflowClient(tracking_uri()).list_artifacts(run_id, "agents")
    assert {item.path.partition("round_")[2][:4] for item in folders} == {"0004", "0005"}


def test_while_the_tracker_is_down_rounds_go_on_and_arrive_later_in_their_order(checkout, quick, monkeypatch):
    there = tracking_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    run = fake_run(quick, checkout / "state")
    play(quick, run, 0, 1)
    prune(run.parts.state.snapshots, 1)  # what is registered was kept
    monkeypatch.setenv("MLFLOW_TRACKING_URI", there)
    sender = Sender(SPOOL, there)
    sender.start()
    sender.finish(300)
    assert [version.tags["crl.round"] for version in versions()] == ["0", "1"]
    assert "artifacts/bank/bank.parquet" in files(versions()[0])
    assert not list(SPOOL.glob("*.files"))


def test_a_record_that_is_delivered_late_does_not_take_the_alias_back(checkout, quick):
    from flows.tracking.model_versions import move_forward

    play(quick, fake_run(quick, checkout / "state"), 0, 1)
    client = mlflow.MlflowClient(tracking_uri())
    move_forward(client, MODEL, "candidate", 1)
    assert int(client.get_model_version_by_alias(MODEL, "candidate").version) == 2


def test_an_evaluation_leads_from_the_agent_to_the_levels_that_it_was_measured_on(checkout, quick):
    run, tasks = fake_run(quick, checkout / "state"), TaskSets.read(MIX, quick.tasks.mix)
    estimate = Estimate(0.5, 0.25, 0.75, 3.0, 2.0, 4.0, 8)
    cells = {("before", "free", "all"): estimate, ("after", "guided", "all"): estimate}
    report = EvaluationReport(EvaluationSummary(("all",), cells, {}, 0.95, 100), (), ())
    with recorded(quick, "prepare") as (record, _):
        agent = agents.candidate(record, run, commit_round(run, 0))
        write_json(EVALUATION_EPISODES, {"agent": agent.id})
        write_table(CELLS, [])
        record_figures(quick, tasks, report, record)
    client = mlflow.MlflowClient(tracking_uri())
    [model] = client.search_logged_models(["1"], f"tags.`crl.lineage` = '{run.lineage}'")
    digest = levels_digest(tasks.evaluation)
    assert {(metric.dataset_name, metric.dataset_digest) for metric in model.metrics} == {("held-out panel", digest)}
    figures = {metric.key: metric.value for metric in model.metrics}
    assert figures["eval/after/guided/all/success"] == 0.5
    assert not [name for name in figures if "before" in name]
    found = client.get_run(model.source_run_id)
    assert found.data.metrics["eval/before/free/all/success"] == 0.5
    [panel] = [used.dataset for used in found.inputs.dataset_inputs]
    name, levels = next(iter(tasks.held_out.items()))
    assert json.loads(panel.profile)["levels_and_seeds"][name] == [[task.level, task.seed] for task in levels]
