"""Small records, their delivery, and the runs that they make."""

import mlflow

from flows.tracking.recording import SPOOL, tracking_uri
from flows.tracking.records import Record
from flows.tracking.sender import Sender


def runs(stage: str) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(tracking_uri())
    found = client.search_experiments(filter_string="name = 'crl'")
    return client.search_runs([found[0].experiment_id], f"tags.`crl.stage` = '{stage}'") if found else []


def create_run(key: str, stage: str) -> Record:
    kwargs = {"run_id": key, "run_name": stage, "start_time": 1, "tags": {"crl.stage": stage}}
    return Record(f"open-{key}", "create_run", kwargs)


def log_batch(id_: str, **kwargs) -> Record:
    return Record(id_, "log_batch", {"run_id": "k", **kwargs})


def drained() -> Sender:
    sender = Sender(SPOOL, tracking_uri())
    sender.start()
    sender.finish(60)
    return sender
