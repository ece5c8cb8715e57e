"""Small records, their delivery and the runs that they make; artifacts on the Prefect server that all tests of a process share."""

from datetime import datetime

import mlflow
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact

from flows.tracking.recording import SPOOL, tracking_uri
from flows.tracking.records import Record
from flows.tracking.sender import Sender


def runs(stage: str) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(tracking_uri())
    found = client.search_experiments(filter_string="name = 'crl'")
    return client.search_runs([found[0].experiment_id], f"tags.`crl.stage` = '{stage}'") if found else []


async def artifacts(key: str, since: datetime) -> list[Artifact]:
    """Of this key, made by this test: other tests have left theirs on the server, in whatever order they ran."""
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    async with get_client() as client:
        return [found for found in await client.read_artifacts(artifact_filter=wanted) if found.created >= since]


def create_run(key: str, stage: str) -> Record:
    kwargs = {"run_id": key, "run_name": stage, "start_time": 1, "tags": {"crl.stage": stage}}
    return Record(f"open-{key}", "create_run", kwargs)


def log_batch(id_: str, **kwargs) -> Record:
    return Record(id_, "log_batch", {"run_id": "k", **kwargs})


def drained() -> Sender:
    sender = Sender(SPOOL, tracking_uri())
    sender.start()
    sender.finish(300)
    return sender
