"""An MLflow tracking server with a registry, on SQLite, its artifacts beside that."""

import sys
from pathlib import Path

from flows.local.mlflow_database import make_database
from flows.local.process import Launch
from flows.local.server import LocalServer

_SETTINGS = Path(__file__).parents[2] / "mlflow/server.env"


class MlflowServer(LocalServer):
    """Its data lie in `home`/mlflow. What a run recorded without a server is in mlflow.db, and stays there."""

    name = "mlflow"
    port = 5000
    variable = "MLFLOW_TRACKING_URI"
    workers = 2
    # MLflow 3.17, seen once in hundreds of starts: both workers were up, and answered nothing for minutes.
    may_hang = True

    def lacking(self) -> str | None:
        return None if _SETTINGS.is_file() else f"{_SETTINGS} is missing. Remedy: start it from a checkout"

    def launch(self, port: int) -> Launch:
        data = (self.home / "mlflow").resolve()
        data.mkdir(parents=True, exist_ok=True)
        if not (data / "mlflow.db").exists():
            make_database(data / "mlflow.db")
        argv = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        argv += ["--workers", str(self.workers), "--backend-store-uri", f"sqlite:///{data}/mlflow.db"]
        argv += ["--artifacts-destination", str(data / "artifacts")]
        lines = (line.strip() for line in _SETTINGS.read_text().splitlines())
        settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        credentials = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
        return Launch(argv, settings, without=credentials)
