"""What the pipeline records: calls of MLflow's client, as lines on disk that survive until a tracker has taken them.

A record's `id` derives from what it records, so the same fact recorded twice (a resumed run) is one record. In its arguments
a run is named by our key of it: the tracker's own run id is looked up when the call is made (`flows.tracking.replay`).
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, JsonValue, ValidationError
from pydantic.dataclasses import dataclass

from crl.errors import DataError

SCHEMA = 2  # of a line: a release that reads another schema leaves the line where it is
Method = Literal[
    "create_run",
    "set_terminated",
    "log_batch",
    "log_inputs",
    "log_artifact",
    "create_model_version",
    "start_trace",
    "create_prompt_versions",
]


class OtherRelease(DataError):
    """A line that another release of this program wrote, with another schema."""


class Damaged(DataError):
    """A line that is no record, or a record whose arguments its method does not take."""

    @classmethod
    def of(cls, error: ValidationError) -> "Damaged":
        found = (f"{'.'.join(map(str, fault['loc'])) or 'line'}: {fault['msg']}" for fault in error.errors())
        return cls("; ".join(found))


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Record:
    id: str
    method: Method
    kwargs: dict[str, JsonValue]

    @property
    def kept(self) -> Path | None:
        """The file or folder of the spool that the call uploads; in a line, inside the journal's `.files`."""
        path = self.kwargs.get("local_path") or self.kwargs.get("local_dir")
        return Path(path) if isinstance(path, str) else None


def to_line(record: Record) -> bytes:
    """One line of JSON. Raises ValueError for NaN and infinities, which are no JSON."""
    body = {"schema": SCHEMA, "id": record.id, "method": record.method, "kwargs": record.kwargs}
    return json.dumps(body, allow_nan=False).encode() + b"\n"


def unwrapped(line: bytes) -> bytes:
    """The record's line in a line of `refused.jsonl`; any other line as it is."""
    if not line.startswith(b'{"reason"'):
        return line
    try:
        body = json.loads(line)
    except ValueError:
        return line
    if isinstance(body, dict) and body.keys() == {"reason", "line"} and isinstance(body["line"], str):
        return body["line"].encode()
    return line


def from_line(line: bytes) -> Record:
    """Raises OtherRelease or Damaged."""
    try:
        body: Any = json.loads(line)
    except ValueError as error:
        raise Damaged(f"no JSON ({error})") from None
    if not isinstance(body, dict):
        raise Damaged(f"{str(body)[:40]!r}: no record")
    # Lines of the first schema name none, and a kind of record instead of a method.
    schema = body.pop("schema", 1 if "kind" in body else None)
    if isinstance(schema, int) and schema != SCHEMA:
        raise OtherRelease(f"schema = {schema}, this release reads {SCHEMA}")
    if schema != SCHEMA:
        raise Damaged(f"schema = {schema!r}: no schema of a record")
    try:
        return Record(**body)
    except ValidationError as error:
        raise Damaged.of(error) from None
