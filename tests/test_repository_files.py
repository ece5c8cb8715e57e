"""Files at the top of the repository that other programs read say what the rest of it says."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def read(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text())


def test_the_hooks_before_a_commit_run_what_make_lint_runs_and_fetch_nothing() -> None:
    [repository] = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    hooks = [" ".join([hook["entry"], *hook.get("args", [])]) for hook in repository["hooks"]]
    assert all(hook["language"] == "system" for hook in repository["hooks"])
    makefile = (ROOT / "Makefile").read_text().splitlines()
    recipe = makefile[next(at for at, line in enumerate(makefile) if line.startswith("lint:")) + 1]
    assert recipe.strip("\t@").replace("$(BIN)", ".venv/bin").split(" && ") == hooks


def test_ci_is_the_gate_and_nothing_beside_it() -> None:
    workflow = read(".github/workflows/ci.yml")
    [job] = workflow["jobs"].values()
    [checkout, gate] = job["steps"]
    assert checkout["uses"].startswith("actions/checkout@v")
    assert ".ci/run" in gate["run"]
    assert (job["timeout-minutes"], workflow["permissions"]) == (120, {"contents": "read"})


def test_the_citation_is_of_this_version_under_this_licence() -> None:
    cited, project = read("CITATION.cff"), tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert f"{cited['authors'][0]['name'].removeprefix('The ')}" in (ROOT / "LICENSE").read_text()
