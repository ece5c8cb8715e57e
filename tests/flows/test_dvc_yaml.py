"""dvc.yaml, prefect.yaml and the code agree."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from crl.config import NO_RESULT
from crl.config.play import RunConfig
from flows.stage import lineage, paths

ROOT = Path(__file__).parents[2]
FILE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ENTRY = "room"  # stands for every entry of the mix in stages that run once for each


def stage_of(name: str) -> dict:
    """The stage as DVC resolves it; for a stage per entry that of one entry."""
    if "do" not in FILE[name]:
        return FILE[name]
    return yaml.safe_load(yaml.safe_dump(FILE[name]["do"]).replace("${key}", ENTRY))


STAGES = {name: stage_of(name) for name in FILE}


def names(entries: list) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def outs(stage: dict) -> list[str]:
    return names([*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])])


def test_the_stages_are_those_of_the_code_in_their_order():
    assert tuple(name for name in STAGES if name != "entries") == lineage.STAGES  # which only clears a folder: no flow
    assert FILE["prepare"]["foreach"] == "${tasks.mix}"
    for name, stage in STAGES.items():
        entry = f" --entry {ENTRY}" if "do" in FILE[name] else ""
        assert stage["cmd"] == f"python -m flows.{name}{entry}"
        assert f"flows/{name}.py" in stage["deps"]


@pytest.mark.parametrize("name", STAGES)
def test_every_dependency_exists_or_is_the_out_of_an_earlier_stage(name):
    order = list(STAGES)
    before = [out for earlier in order[: order.index(name)] for out in outs(STAGES[earlier])]
    for dep in map(Path, STAGES[name]["deps"]):
        made = any(dep == Path(out) or Path(out) in dep.parents or dep in Path(out).parents for out in before)
        assert made or (ROOT / dep).exists(), dep


@pytest.mark.parametrize("name", STAGES)
def test_every_parameter_exists(name):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for param in STAGES[name]["params"]:
        value = params
        for part in param.split("."):
            assert part in value, param
            value = value[part]


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("pass_rate", "engine.kind"),  # who samples
        ("pass_rate", "evaluate.confidence"),  # of the intervals in its table
        ("evaluate", "bank.scope"),  # whose experience an episode is shown
        ("evaluate", "bank.max_entry_chars"),  # how much room a prompt leaves for it
        ("evaluate", "extractor.prompts"),  # what the ask tool says
        ("report", "engine.kind"),  # all parameters are listed there
    ],
)
def test_a_stage_runs_again_when_a_parameter_that_it_reads_has_changed(name, parameter):
    assert any(f"{parameter}.".startswith(f"{param}.") for param in STAGES[name]["params"])


@pytest.mark.parametrize("name", [name for name in STAGES if "run.seed" in STAGES[name].get("params", ())])
def test_of_what_a_run_is_only_that_starts_a_stage_anew_which_can_change_a_result(name):
    read = {param.removeprefix("run.") for param in STAGES[name]["params"] if f"{param}.".startswith("run.")}
    assert read == set(RunConfig.model_fields) - NO_RESULT["run"]


def test_the_paths_of_the_code_are_the_outs_of_dvc():
    declared = {out for stage in STAGES.values() for out in outs(stage)}
    written = {
        paths.TASKS / ENTRY,
        paths.ENTRIES,
        paths.PASS_RATE,
        paths.MIX,
        paths.MODELS,
        paths.BANK,
        paths.TRANSCRIPTS,
        paths.EFFECTS,
    }
    written |= {
        paths.EVALUATION_TRANSCRIPTS,
        paths.EVALUATION_EPISODES,
        paths.HEADLINE,
        paths.ROUNDS,
        paths.CELLS,
        paths.REPORTS,
    }
    written |= {paths.BASE / "actor", paths.BASE / "extractor", paths.METRICS / f"prepare/{ENTRY}.json"}
    written |= {paths.metrics_of(stage) for stage in ("warm_start", "pass_rate", "filter", "co_evolve", "evaluate")}
    assert declared == {str(path) for path in written}


def test_the_resumable_state_is_no_out_since_dvc_would_delete_it():
    for stage in STAGES.values():
        for out in outs(stage):
            for state in (paths.STATE, paths.ATTEMPTS):
                assert state not in (Path(out), *Path(out).parents)
                assert Path(out) not in state.parents


def test_dvc_reads_the_pipeline():
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    mix = yaml.safe_load((ROOT / "params.yaml").read_text())["tasks"]["mix"]
    once = [name for name in STAGES if name != "prepare"]
    assert [line.split()[0] for line in done.stdout.splitlines()] == [*(f"prepare@{name}" for name in mix), *once]


def test_every_deployment_names_a_flow_that_exists():
    import importlib

    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert {deployment["name"] for deployment in deployments} == {"pipeline", *lineage.STAGES}
    for deployment in deployments:
        file, function = deployment["entrypoint"].split(":")
        module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
        assert set(deployment.get("parameters") or {}) <= set(getattr(module, function).parameters.properties)
