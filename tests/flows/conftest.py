"""A Prefect server for the tests of flows, a checkout to run them in, and a co-evolution that costs nothing."""

import asyncio
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

import flows  # noqa: F401  sets Prefect's quiet defaults before anything imports it
from crl.config import Config, from_mapping
from crl.config.compose import compose
from crl.episode.transcripts import Trace
from crl.files import write_json
from crl.round.commit import Committed
from crl.round.hooks import PLAIN, Hooks
from crl.round.report import EffectRow, RoundReport
from crl.spans import Spans
from crl.tasks.sets import SPLITS, instances, write
from crl.types import TimedSpan

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def prefect_server():
    """One throw-away Prefect server for all tests (about 10 s)."""
    from prefect.settings import PREFECT_LOGGING_LEVEL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    from flows.local.prefect_server import send_what_waits

    with (
        prefect_test_harness(server_startup_timeout=300),
        temporary_settings({PREFECT_LOGGING_LEVEL: "WARNING", PREFECT_LOGGING_TO_API_ENABLED: False}),
    ):
        send_what_waits()  # a process has one sender of events, which stays with the server that it was made for
        yield


@pytest.fixture(scope="session")
def quick() -> Config:
    return from_mapping(compose("quick", folder=ROOT / "conf"))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """MLflow's tables, made once: seconds that each test would pay."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_registered_models()
    return file


@pytest.fixture
def checkout(tmp_path, monkeypatch, empty_database) -> Path:
    """A folder with the parameters and configuration of this repository and an empty MLflow database, as working directory."""
    for name in ("MLFLOW_EXPERIMENT_NAME", "CRL_PIPELINE_FLOW_RUN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")  # tests name all metrics of a run
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")  # MLflow caches stores by address
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    for role in ("actor", "extractor"):
        folder = tmp_path / "runs/warm_start" / role
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"role": role}))
    mix = from_mapping(compose("quick", ["tasks.train_levels=8", "tasks.eval_levels=2"], ROOT / "conf"))
    for folder in (tmp_path / "data/tasks", tmp_path / "data/mix"):
        for name in mix.tasks.mix:
            for split in SPLITS:
                write(instances(mix, name, split), folder / name / f"{split}.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclass
class FakeCoEvolution:
    """The interface of `CoEvolution`: shards wait for each other, so they pass only if they run at once."""

    config: Config
    state: Path
    rounds_total: int = 2
    next_round: int = 0
    closed: bool = False
    finished: dict[str, str] | None = None
    lineage: str = "abcdef012345"
    fail_once: dict[str, Exception] = field(default_factory=dict)
    closing: RoundReport | None = None
    hooks: Hooks = PLAIN
    spans: Spans = field(default_factory=Spans)

    def __post_init__(self) -> None:
        folders = {name: self.state / name for name in ("reports", "snapshots")}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        state = SimpleNamespace(path=self.state, finish=lambda outs: setattr(self, "finished", outs), **folders)
        learners = {
            role: SimpleNamespace(role=role, version=1, export=_exporter(role), engine=SimpleNamespace(tokens=0))
            for role in ("actor", "extractor")
        }
        self.parts = SimpleNamespace(state=state, **learners)
        self._together = asyncio.Barrier(2)

    def open(self, config: Config, *, hooks: Hooks, **_) -> "FakeCoEvolution":
        self.hooks = hooks
        return self

    async def play_round(self, committed: Committed) -> RoundReport:
        run = self.hooks.run_unit
        async with asyncio.timeout(60):
            await asyncio.gather(*(run(f"rollout-shard-{i}", lambda i=i: self._shard(i)) for i in range(2)))
        await run("distil-0", self._unit("distil"))
        await run("update-actor", self._unit("update-actor"))
        await run("update-extractor", self._unit("update-extractor"))
        report = await run("commit", self._commit)
        await committed(report)
        return report

    async def finish(self) -> RoundReport | None:
        if self.closing and not (file := self.state / "reports/closing.json").exists():  # committed once
            write_json(file, asdict(self.closing))
        return self.closing

    async def close(self) -> None:
        self.closed = True

    async def _shard(self, index: int) -> int:
        await self._together.wait()
        return index

    def _unit(self, name: str):
        async def work() -> dict[str, float]:
            if error := self.fail_once.pop(name, None):
                raise error
            return {}

        return work

    async def _commit(self) -> RoundReport:
        report = round_report(self.next_round)
        write_json(self.state / f"reports/round_{report.round:04d}.json", asdict(report))
        (self.state / f"snapshots/round_{report.round:04d}").mkdir()
        (self.state / f"snapshots/round_{report.round:04d}/bank.parquet").write_text("rows")
        self.next_round += 1
        return report


class OpenGates:
    """In the place of `RunGates`."""

    def __init__(self, *_) -> None: ...

    async def __aenter__(self) -> "OpenGates":
        return self

    async def __aexit__(self, *_) -> None: ...

    async def rollouts(self, round_, ends) -> None: ...

    def snapshot(self, round_, file) -> None: ...


def round_report(round_: int) -> RoundReport:
    row = EffectRow("entry-1", "maze", "go | to <b>new</b> cells", 0.25, 0.05, 0.45, 6, 24)
    spans = (TimedSpan("retrieve", 1.7e9, 1.7e9 + 0.5), TimedSpan("generate", 1.7e9 + 0.5, 1.7e9 + 1))
    trace = Trace(f"episode r{round_}.g0.e1", {"lineage": "abcdef012345"}, spans, {"goal": "g"}, {"outcome": "success"})
    metrics = {
        "rollout/success_free": 0.25 + round_ / 10,
        "rollout/success_guided": float("nan"),
        "time/generate_s": 1.5,
    }
    return RoundReport(round_, metrics, f"Round {round_}: it learned.", (row,), (), (), (trace,))


def _exporter(role: str):
    def export(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"role": role}))

    return export


@pytest.fixture
def make_fake(checkout, quick, monkeypatch):
    """Installs a fake behind `CoEvolution.open` and returns its maker."""
    import flows.co_evolve

    def make(**options) -> FakeCoEvolution:
        fake = FakeCoEvolution(quick, checkout / "runs/co_evolve/abcdef012345", **options)
        monkeypatch.setattr(flows.co_evolve, "CoEvolution", SimpleNamespace(open=fake.open))
        monkeypatch.setattr(flows.co_evolve, "RunGates", OpenGates)  # the fake's rounds hold no data
        return fake

    return make


@pytest.fixture
def run_options(checkout) -> dict[str, object]:
    """For subprocesses that must find this repository's code from another folder."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {
        "cwd": checkout,
        "env": os.environ | {"PYTHONPATH": path},
        "check": True,
        "capture_output": True,
        "text": True,
    }
