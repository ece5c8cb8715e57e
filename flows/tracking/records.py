"""What the pipeline records, as values that survive on disk until a tracker has taken them.

A record's `id` derives from what it records, so the same fact recorded twice (a resumed run) is one record.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter


@dataclass(frozen=True)
class RunOpened:
    id: str
    run: str  # our key of the run; the tracker's own run id is looked up by it
    name: str
    at_ms: int
    parent: str | None = None  # key of the parent run
    tags: dict[str, str] = field(default_factory=dict)
    kind: Literal["run_opened"] = "run_opened"


@dataclass(frozen=True)
class RunClosed:
    id: str
    run: str
    status: Literal["FINISHED", "FAILED", "KILLED"]
    at_ms: int
    kind: Literal["run_closed"] = "run_closed"


@dataclass(frozen=True)
class Described:
    """Parameters (written once, never changed) and tags (the last one wins)."""

    id: str
    run: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    kind: Literal["described"] = "described"


@dataclass(frozen=True)
class Measured:
    id: str
    run: str
    step: int
    at_ms: int  # of the commit, not of the recording: a repeated record is the same metric
    values: dict[str, float]
    kind: Literal["measured"] = "measured"


@dataclass(frozen=True)
class DatasetUsed:
    id: str
    run: str
    name: str
    digest: str
    source: str  # a path inside the repository
    context: str  # "training" | "evaluation"
    rows: int
    kind: Literal["dataset_used"] = "dataset_used"


@dataclass(frozen=True)
class FilesKept:
    id: str
    run: str
    path: str  # a file or folder that belongs to the spool
    folder: str  # inside the run's artifacts
    kind: Literal["files_kept"] = "files_kept"


@dataclass(frozen=True)
class ModelRegistered:
    id: str
    run: str
    path: str  # a folder that belongs to the spool
    name: str  # of the registered model
    alias: str  # moves to this version unless it is at a newer one
    tags: dict[str, str] = field(default_factory=dict)
    place: str = ""  # inside the run's artifacts; empty: the model's name
    serving: dict[str, JsonValue] | None = (
        None  # what makes an MLflow model of the files; None: they are kept as they are
    )
    keep: int = 0  # newest versions of the same lineage that stay; 0: all
    kind: Literal["model_registered"] = "model_registered"


@dataclass(frozen=True)
class SpanMade:
    name: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class EpisodeTraced:
    id: str
    run: str
    name: str
    spans: tuple[SpanMade, ...]
    inputs: dict[str, str]
    outputs: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)
    kind: Literal["episode_traced"] = "episode_traced"


Record = RunOpened | RunClosed | Described | Measured | DatasetUsed | FilesKept | ModelRegistered | EpisodeTraced
_ADAPTER: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="kind")])


def to_line(record: Record) -> bytes:
    """One line of JSON. NaN and infinities never reach it: `Measured` is built from finite values."""
    return _ADAPTER.dump_json(record) + b"\n"


def from_line(line: bytes) -> Record:
    """Raises pydantic.ValidationError for a line that is no record."""
    return _ADAPTER.validate_json(line)
