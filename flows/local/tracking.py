"""The servers that record: Prefect (flow runs) and MLflow (metrics, artifacts, models)."""

import sys
from collections.abc import Callable
from pathlib import Path

from flows.local import prefect_server
from flows.local.kind import Kind
from flows.local.process import Running, http_ok, spawn

_SETTINGS = Path(__file__).parents[2] / "mlflow/server.env"
_STARTUP_S = 180.0  # 9 s on a quiet machine


class Prefect(Kind):
    """The same server that a stage finds or starts by itself (flows/local/prefect_server.py), kept until it is stopped."""

    name = "prefect"
    port = prefect_server.DEFAULT_PORT

    def lacking(self) -> None:
        return None

    def started(self) -> prefect_server.Server | None:
        return prefect_server.started()

    def start(self) -> Running:
        return prefect_server.keep()

    def stop(self) -> bool:
        return prefect_server.end()

    def exports(self, running: Running) -> dict[str, str]:
        return {"PREFECT_API_URL": f"{running.url}/api"}

    def _spawn(self, port: int) -> Running:
        raise NotImplementedError("flows/local/prefect_server.py starts it")


class Mlflow(Kind):
    """A tracking server on SQLite, its artifacts beside it. What a run recorded without one is in mlflow.db."""

    name = "mlflow"
    port = 5000

    def lacking(self) -> str | None:
        return None if _SETTINGS.is_file() else f"{_SETTINGS} is missing. Remedy: start it from a checkout"

    def exports(self, running: Running) -> dict[str, str]:
        return {"MLFLOW_TRACKING_URI": running.url}

    def _spawn(self, port: int) -> Running:
        health = self._unless_interrupted(lambda: http_ok(f"{_url(port)}/health"))
        return mlflow_server((self.home / "mlflow").resolve(), port, logs=self.home, health=health)


def mlflow_server(
    data: Path, port: int, *, logs: Path, health: Callable[[], bool] | None = None, workers: int = 2
) -> Running:
    """A tracking server with a registry on SQLite in `data`, its artifacts beside that, once it is healthy."""
    data.mkdir(parents=True, exist_ok=True)
    where = f"--host 127.0.0.1 --port {port} --workers {workers}".split()
    store = ["--backend-store-uri", f"sqlite:///{data}/mlflow.db", "--artifacts-destination", str(data / "artifacts")]
    return spawn(
        "mlflow",
        [sys.executable, "-m", "mlflow", "server", *where, *store],
        environment=_settings(),
        without=("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
        folder=logs,
        url=_url(port),
        health=health or (lambda: http_ok(f"{_url(port)}/health")),
        wait_s=_STARTUP_S,
    )


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _settings() -> dict[str, str]:
    lines = (line.strip() for line in _SETTINGS.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
