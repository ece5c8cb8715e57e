"""dvc.yaml, prefect.yaml and the code agree."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from crl.config import Config
from crl.config.base import field_names
from flows import lineage, paths

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def names(entries: list) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def outs(stage: dict) -> list[str]:
    return names([*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])])


def test_the_stages_are_those_of_the_code_in_their_order():
    assert tuple(STAGES) == lineage.STAGES
    for name, stage in STAGES.items():
        assert stage["cmd"] == f"python -m flows.{name}"
        assert f"flows/{name}.py" in stage["deps"]


@pytest.mark.parametrize("name", STAGES)
def test_every_dependency_exists_or_is_the_out_of_an_earlier_stage(name):
    before = [out for earlier in lineage.STAGES[: lineage.STAGES.index(name)] for out in outs(STAGES[earlier])]
    for dep in STAGES[name]["deps"]:
        made = any(Path(dep) == Path(out) or Path(out) in Path(dep).parents for out in before)
        assert made or (ROOT / dep).exists(), dep


@pytest.mark.parametrize("name", STAGES)
def test_every_parameter_section_exists(name):
    known = set(field_names(Config)) | set(Config.model_fields)
    for param in STAGES[name]["params"]:
        assert param in known, param


def test_the_paths_of_the_code_are_the_outs_of_dvc():
    declared = {out for stage in STAGES.values() for out in outs(stage)}
    written = {paths.TASKS, paths.MODELS, paths.BANK, paths.TRANSCRIPTS, paths.EFFECTS, paths.EVALUATION_TRANSCRIPTS}
    written |= {
        paths.HEADLINE,
        paths.ROUNDS,
        paths.CELLS,
        paths.REPORTS,
        paths.BASE / "actor",
        paths.BASE / "extractor",
    }
    written |= {paths.metrics_of(stage) for stage in ("prepare", "warm_start", "co_evolve", "evaluate")}
    assert declared == {str(path) for path in written}


def test_the_resumable_state_is_no_out_since_dvc_would_delete_it():
    for stage in STAGES.values():
        for out in outs(stage):
            assert paths.STATE not in (Path(out), *Path(out).parents)
            assert Path(out) not in paths.STATE.parents


def test_dvc_reads_the_pipeline():
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(lineage.STAGES)


def test_every_deployment_names_a_flow_that_exists():
    import importlib

    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert {deployment["name"] for deployment in deployments} == {"pipeline", *lineage.STAGES}
    for deployment in deployments:
        file, function = deployment["entrypoint"].split(":")
        module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
        assert set(deployment.get("parameters") or {}) <= set(getattr(module, function).parameters.properties)
