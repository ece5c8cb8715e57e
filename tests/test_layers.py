"""The layers hold: crl is a plain library, and configuration folders shadow no package."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What the command prints is kept out of what the test reads.
HELP = (
    "import io; from crl.cli.main import app; sys.stdout = io.StringIO(); "
    "app(['--help'], standalone_mode=False); assert 'Usage' in sys.stdout.getvalue(); sys.stdout = sys.__stdout__"
)


def test_crl_imports_no_orchestrator_and_every_room_only_rooms_below_it() -> None:
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--no-cache",
    ]  # in this process it would end all logging
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("work", "heavy"),
    [
        ("import crl", {"torch", "transformers", "minihack", "pandas", "prefect", "mlflow"}),
        ("import crl.envs.hosting.pool, crl.envs.minihack.env", {"torch"}),
        (HELP, {"torch", "transformers", "scipy"}),
        # Who runs no model: the start of a run, the stages about data, what reads a study.
        (
            "import flows.run, flows.study, flows.prepare, flows.entries, flows.filter",
            {"torch", "transformers", "sklearn", "great_expectations"},
        ),
    ],
)
def test_what_should_be_quick_loads_nothing_heavy(work: str, heavy: set[str]) -> None:
    script = f"import sys; {work}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["mlflow", "docker"])
def test_configuration_folders_are_no_packages(name: str) -> None:
    assert not (ROOT / name / "__init__.py").exists()


def test_files_stay_readable() -> None:
    long = {
        str(file.relative_to(ROOT)): lines
        for folder in ("crl", "flows", "tests", "benchmarks")
        for file in (ROOT / folder).rglob("*.py")
        if (lines := len(file.read_text().splitlines())) > 300
    }
    assert long == {}


def test_the_help_names_every_command() -> None:
    done = subprocess.run([sys.executable, "-m", "crl.cli.main", "--help"], capture_output=True, text=True)
    names = ("check", "compose", "bank", "compare", "doctor", "envs", "models", "plan", "play", "publish", "watch")
    assert [name for name in names if f" {name} " not in done.stdout] == []
