"""The champion on a real server: it gives way only to what was shown to be better, whole, and comes back whole."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
import yaml

from crl.config import from_mapping
from crl.config.compose import compose
from crl.errors import DataError
from crl.files import digest_folder, read_json
from crl.tasks.sets import TaskSets
from flows.local.mlflow_server import MlflowServer
from flows.registry import agents, contest, promotion
from flows.registry.champion import LINE_TAG, Champions
from flows.stage import lineage
from flows.stage.paths import EVALUATION_EPISODES, MIX
from flows.tracking.recording import recorded, tracking_uri
from tests.episode.followed import Followed
from tests.flows.agents import commit_round, fake_run, figures, put_out, write_models

ROOT = Path(__file__).parents[2]
OPTIONS = ["tasks.train_levels=8", "tasks.eval_levels=2", "models.actor.layers=1", "models.extractor.layers=1"]
OPTIONS += ["evaluate.confidence=0.51"]  # six levels can show little; the bound itself is tested in test_decision.py


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = MlflowServer(tmp_path_factory.mktemp("server"))
    server.workers = 1
    yield server.start()
    server.stop()


@pytest.fixture
def config():
    return from_mapping(compose("quick", OPTIONS, ROOT / "conf"))


@pytest.fixture
def model(checkout, server, monkeypatch, request) -> str:
    """A registered model of this test's own on the server, and base models in the checkout."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")  # a shared machine stalls
    values = yaml.safe_load((ROOT / "mlflow/registry.yaml").read_text())
    name = f"agent-{request.node.name.replace('[', '-').replace(']', '')}"[:100]
    (checkout / "registry.yaml").write_text(yaml.safe_dump(values | {"model": name}))
    monkeypatch.setattr(agents, "POLICY", checkout / "registry.yaml")
    return name


def evaluated(config, *, seed: int, won: int | dict[str, int], base_won: int = 0):
    """An evaluation whose trained agent (of `seed`) solved `won` levels, of each arm or by arm."""
    put_out(config, seed)
    tasks = TaskSets.read(MIX, config.tasks.mix).evaluation
    with recorded(config, "evaluate") as (record, _):
        rows = figures(tasks, {"before": base_won, "after": won})
        return contest.settle(config, tasks, rows, record, followed)


followed = Followed()


def parts_of(alias: str, model: str, target: Path) -> dict[str, str]:
    """Digests of what an alias leads to."""
    client = mlflow.MlflowClient(tracking_uri())
    version = client.get_model_version_by_alias(model, alias)
    place = version.source.removeprefix("runs:/").partition("/")[2]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    folder = Path(client.download_artifacts(version.run_id, f"{place}/artifacts", str(target)))
    return {part: digest_folder(folder / part) for part in agents.PARTS}


def aliases(model: str) -> dict[str, int]:
    found = mlflow.MlflowClient(tracking_uri()).get_registered_model(model).aliases
    return {alias: int(version) for alias, version in found.items()}


def test_it_passes_is_refused_passes_again_and_rolls_back_all_together(checkout, config, model):
    tasks = TaskSets.read(MIX, config.tasks.mix).evaluation
    everything, nothing = len(tasks), 0

    refused = evaluated(config, seed=1, won=nothing)  # no champion: the base actor is the opponent
    assert (refused.verdict, refused.opponent, refused.version) == ("refused", "the base actor", 1)
    assert "champion" not in aliases(model)

    first = evaluated(config, seed=2, won=everything // 2)
    assert (first.verdict, first.comparison.gain_low > 0) == ("promoted", True)
    assert aliases(model) == {"candidate": 2, "champion": 2}
    of_first = parts_of("champion", model, checkout / "fetched")

    equal = evaluated(config, seed=3, won=everything // 2)
    assert (equal.verdict, equal.opponent, equal.replayed) == ("refused", "version 2", False)
    assert aliases(model) == {"candidate": 3, "champion": 2}
    version = mlflow.MlflowClient(tracking_uri()).get_model_version(model, "3")
    assert version.tags["crl.decision"] == "refused"
    assert float(version.tags["crl.decision.gain_low"]) <= 0
    [run] = [run for run in stage_runs() if run.data.tags.get("crl.decision.opponent") == "version 2"]
    assert run.data.metrics["champion/promoted"] == 0.0
    assert run.data.metrics["champion/gain"] == 0.0

    second = evaluated(config, seed=4, won=everything, base_won=everything)
    assert (second.verdict, second.opponent) == ("promoted", "version 2")
    assert aliases(model) == {"candidate": 4, "champion": 4, "former": 2}
    of_second = parts_of("champion", model, checkout / "fetched")
    assert all(of_second[part] != of_first[part] for part in agents.PARTS)
    assert parts_of("former", model, checkout / "fetched") == of_first

    again = evaluated(config, seed=4, won=everything)  # evaluated again: the same version
    assert (again.verdict, again.version) == ("unchanged", 4)

    assert promotion.main(["rollback"]) == 0
    assert aliases(model) == {"candidate": 4, "champion": 2}
    assert parts_of("champion", model, checkout / "fetched") == of_first
    assert promotion.main(["rollback"]) == 2  # there is none before it
    assert evaluated(config, seed=4, won=everything).verdict == "refused"  # what a person took back stays back
    assert aliases(model)["champion"] == 2
    mlflow.MlflowClient(tracking_uri()).delete_model_version(model, "2")
    assert evaluated(config, seed=6, won=everything).opponent == "the base actor"  # the last of the line was deleted
    assert aliases(model) == {"candidate": 5, "champion": 5}


def stage_runs() -> list:
    client = mlflow.MlflowClient(tracking_uri())
    experiment = client.get_experiment_by_name("crl").experiment_id
    return client.search_runs([experiment], "tags.`crl.stage` = 'evaluate'")


def test_a_champion_whose_episodes_were_of_other_conditions_is_played_again_as_it_was_trained(checkout, config, model):
    levels = len(TaskSets.read(MIX, config.tasks.mix).evaluation)
    assert evaluated(config, seed=1, won=levels).verdict == "promoted"
    other = from_mapping(compose("quick", [*OPTIONS, "run.seed=8", "models.actor.layers=2"], ROOT / "conf"))
    followed.tallies.clear()
    decision = evaluated(other, seed=2, won=levels)
    assert decision.replayed is True
    assert set(followed.names) == {"champion, free", "champion, guided"}
    assert decision.comparison.opponent_success < 1.0  # a random model, whatever its version's file claims
    assert decision.verdict == "promoted"


def test_where_it_is_asked_for_a_candidate_whose_bank_is_not_shown_to_be_better_is_refused_and_says_why(
    checkout, config, model
):
    levels = len(TaskSets.read(MIX, config.tasks.mix).evaluation)
    rules = config.evaluate.champion.model_copy(update={"arm": "free", "require_bank": "better"})
    asking = config.model_copy(update={"evaluate": config.evaluate.model_copy(update={"champion": rules})})
    first = evaluated(asking, seed=1, won=levels // 2)
    assert first.verdict == "promoted"
    assert first.bank is None  # there is no champion whose bank it could be tested against
    followed.tallies.clear()
    by_arm = {"guided": 0, "free": levels}  # free it does better, guided by its own bank it solves nothing
    refused = evaluated(asking, seed=2, won=by_arm)
    assert set(followed.names) == {"champion's bank, guided"}
    assert (refused.verdict, refused.comparison.passes, refused.bank.new) == ("refused", True, 0.0)
    assert "With its actor, its bank is" in refused.reason
    assert "evaluate.champion.require_bank = 'better'" in refused.reason
    assert aliases(model) == {"candidate": 2, "champion": 1}
    version = mlflow.MlflowClient(tracking_uri()).get_model_version(model, "2")
    assert version.tags["crl.decision.bank"] == refused.bank.verdict
    followed.tallies.clear()
    assert evaluated(asking, seed=5, won=by_arm).verdict == "promoted"  # its bank is the champion's
    assert followed.names == []


@pytest.mark.parametrize("writes", [0, 1], ids=["after the line", "between the aliases"])
def test_killed_between_its_writes_a_promotion_is_completed_by_whoever_looks_next(checkout, quick, model, writes):
    with recorded(quick, "prepare") as (record, _):
        run = fake_run(quick, checkout / "state")
        for round_ in range(2):
            agents.candidate(record, run, commit_round(run, round_))
    Champions(tracking_uri()).promote(1, over=None)
    script = f"""
import os, signal
from pathlib import Path
from mlflow import MlflowClient
from flows.registry import agents
agents.POLICY = Path("registry.yaml")
from flows.registry.champion import Champions
move, left = MlflowClient.set_registered_model_alias, [{writes}]
def killed(*values):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    move(*values)
MlflowClient.set_registered_model_alias = killed
Champions({tracking_uri()!r}).promote(2, over=1)
"""
    done = subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert aliases(model).get("champion") == 1 + writes
    champions = Champions(tracking_uri())
    assert int(champions.champion().version) == 2
    assert {name: aliases(model)[name] for name in ("champion", "former")} == {"champion": 2, "former": 1}
    assert champions.rollback() == 1
    assert aliases(model) == {"candidate": 2, "champion": 1}


def test_who_compared_with_a_champion_that_is_gone_promotes_nothing(checkout, quick, model):
    with recorded(quick, "prepare") as (record, _):
        run = fake_run(quick, checkout / "state")
        for round_ in range(3):
            agents.candidate(record, run, commit_round(run, round_))
    champions = Champions(tracking_uri())
    champions.promote(1, over=None)
    champions.promote(2, over=1)
    with pytest.raises(DataError, match="version 2, not version 1: it changed meanwhile"):
        champions.promote(3, over=1)
    assert champions.line() == (1, 2)
    assert mlflow.MlflowClient(tracking_uri()).get_registered_model(model).tags[LINE_TAG] == "1 2"
    assert promotion.main(["promote", "3"]) == 0  # a person may
    assert promotion.main(["promote", "9"]) == 2
    assert champions.line() == (1, 2, 3)


def test_without_a_registry_the_evaluation_is_whole_and_the_decision_waits(
    checkout, config, model, server, monkeypatch, capfd
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(contest, "PATIENCE_S", 0.0)
    decision = evaluated(config, seed=1, won=len(TaskSets.read(MIX, config.tasks.mix).evaluation))
    assert decision.verdict == "postponed"
    assert "python -m flows.registry.promotion decide" in decision.reason
    Path("params.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    assert promotion.main(["decide"]) == 1  # still down
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    assert promotion.main(["decide"]) == 0
    assert aliases(model)["champion"] == 1
    assert promotion.main(["status"]) == 0
    assert "champion: version 1" in capfd.readouterr().err
    write_models(Path("models"), config, seed=9)  # another agent than the one that was evaluated
    assert promotion.main(["decide"]) == 2


def test_an_evaluation_is_stored_with_its_version_and_the_same_conditions_have_the_same_digest(checkout, config, model):
    tasks = TaskSets.read(MIX, config.tasks.mix).evaluation
    conditions = contest.conditions_of(config, tasks)
    assert conditions == contest.conditions_of(config, list(tasks))
    assert contest.conditions_of(config, tasks[1:])["held_out"] != conditions["held_out"]
    harder = dataclasses.replace(tasks[0], max_steps=1)
    assert contest.conditions_of(config, [harder, *tasks[1:]])["held_out"] != conditions["held_out"]
    evaluation = config.evaluate.model_copy(update={"temperature": 0.0})
    changed = config.model_copy(update={"evaluate": evaluation})
    assert contest.conditions_of(changed, tasks)["settings"] != conditions["settings"]
    evaluated(config, seed=1, won=1)
    assert read_json(EVALUATION_EPISODES)["agent"] == agents.published_agent(lineage.of_stage(config, "evaluate")).id
