"""What computes a stage's result is among its deps in dvc.yaml: a change of it runs the stage again, and nothing else does."""

from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.import_graph import ROOT, TOPS, closure

# What a stage imports and its result does not depend on.
LEFT_OUT = {
    "flows/tracking": "sends to MLflow what was computed",
    "flows/registry": "keeps agents and compares them; of its files only `evaluation_episodes.json` is an out",
    "flows/prefect": "shows runs in Prefect's pages, and repeats units that failed",
    "flows/local": "starts servers",
    "crl/doctor": "stops a stage whose learners find no room, or lets it pass",
    "flows/stage": "names files, draws bars, reads parameters; a stage's outs are written by `outs.py` and by the stage",
}
WRITERS = {"flows/stage/outs.py"}  # of `co_evolve`
# A gate stops a stage or lets it pass: what its rules are made of changes no result. `choices` names what parameters may choose
# and is read by every stage; one that runs a choice imports its room besides.
NOT_FOLLOWED = (*LEFT_OUT, "flows/gates", "crl/config/choices.py")


@cache
def stages(root: Path = ROOT) -> dict[str, list[str]]:
    """Stage -> its deps, as dvc.yaml has them."""
    declared = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage)["deps"] for name, stage in declared.items()}


def covers(dep: str, file: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


@cache
def reached(stage: str, root: Path, not_followed: tuple[str, ...] = ()) -> set[str]:
    """The files with code in them that the stage's module reaches, relative to the checkout."""

    def follow(file: Path) -> bool:
        return not any(covers(each, file.relative_to(root).as_posix()) for each in not_followed)

    found = closure(root / f"flows/{stage}.py", follow, root)
    return {file.relative_to(root).as_posix() for file in found if file.stat().st_size}


def missing(stage: str, root: Path = ROOT) -> list[str]:
    """Files that can change the stage's result and are covered by none of its deps."""
    needed = reached(stage, root, NOT_FOLLOWED)
    needed = {file for file in needed if file in WRITERS or not any(covers(each, file) for each in LEFT_OUT)}
    return sorted(
        file for file in needed - {"flows/__init__.py"} if not any(covers(d, file) for d in stages(root)[stage])
    )


def idle(stage: str, root: Path = ROOT) -> list[str]:
    """Deps of code of which the stage reaches nothing."""
    files = reached(stage, root)
    code = [dep for dep in stages(root)[stage] if dep.split("/")[0] in TOPS]
    return [dep for dep in code if not any(covers(dep, file) for file in files)]


@pytest.mark.parametrize("stage", stages())
def test_a_stage_runs_again_when_code_that_computes_its_result_has_changed(stage):
    assert missing(stage) == [], f"Remedy: add them, as folders where that fits, to the deps of {stage} in dvc.yaml"


@pytest.mark.parametrize("stage", stages())
def test_a_stage_does_not_run_again_for_code_that_it_never_reaches(stage):
    assert idle(stage) == [], f"Remedy: take them from the deps of {stage} in dvc.yaml"


def test_what_is_left_out_is_there_and_reached():
    everything = set().union(*(reached(stage, ROOT) for stage in stages()))
    assert everything >= WRITERS
    assert [each for each in LEFT_OUT if not any(covers(each, file) for file in everything)] == []


def test_imports_inside_functions_names_in_tables_and_worker_processes_are_seen():
    assert {
        "crl/engine/vllm/server.py",  # imported inside a function
        "crl/envs/minihack/env.py",  # named in the table of environments
        "crl/envs/hosting/worker.py",  # a process of its own
    } <= reached("evaluate", ROOT)
