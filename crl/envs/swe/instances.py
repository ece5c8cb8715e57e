"""One task of SWE-bench, and how it travels in a task's payload."""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr, ValidationError

from crl.errors import DataError

COMPRESS_CHARS = 8_192  # a payload above it is stored compressed
MAX_PAYLOAD_BYTES = 32 * 2**20  # unpacked; the largest test lists of SWE-bench are below 1 MiB
_PACKED = "zlib:"
_DIFFICULTY = {
    "<15 min fix": 1.0,
    "15 min - 1 hour": 2.0,
    "1-4 hours": 3.0,
    ">4 hours": 4.0,
}  # SWE-bench Verified's words


class Edit(NamedTuple):
    """One replacement in a local repository: `old` occurs exactly once in the broken file."""

    path: str
    old: str
    new: str


Candidate = tuple[Edit, ...]  # a repair, or a plausible wrong one
Names = Annotated[  # a list of test names, or one as JSON text, which the hub's data use
    tuple[StrictStr, ...], BeforeValidator(lambda value: json.loads(value) if isinstance(value, str) else value)
]
Difficulty = Annotated[
    float | None, BeforeValidator(lambda value: _DIFFICULTY.get(value) if isinstance(value, str) else value)
]


class Instance(BaseModel):
    """The fields of a SWE-bench row that playing and grading need (swebench 5: the row carries image and eval script)."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, coerce_numbers_to_str=True)

    id: str = Field(alias="instance_id")
    repo: str
    version: str
    base_commit: str
    image: str  # whose /testbed is the repository; "": `files` in the sandbox's base image
    problem_statement: str
    patch: str  # the reference repair; never enters a container of the agent
    test_patch: str
    fail_to_pass: Names = Field(alias="FAIL_TO_PASS")
    pass_to_pass: Names = Field(alias="PASS_TO_PASS")
    eval_script: str
    log_parser: str
    eval_type: str
    difficulty: Difficulty = None  # 1 (a quarter of an hour) ... 4
    files: dict[str, str] = {}  # of a local repository
    candidates: tuple[Candidate, ...] = ()  # of a local repository: the repair first

    @property
    def title(self) -> str:
        """The first line of the issue, cut to one short sentence."""
        lines = self.problem_statement.strip().splitlines() or [self.id]
        return lines[0].strip()[:150]

    def row(self) -> dict[str, Any]:
        """As the official harness and our own reader take it."""
        return self.model_dump(by_alias=True, exclude=set() if self.files else {"files", "candidates"})

    def payload(self) -> str:
        """The row as JSON; compressed above `COMPRESS_CHARS`."""
        text = json.dumps(self.row(), sort_keys=True, separators=(",", ":"))
        if len(text) <= COMPRESS_CHARS:
            return text
        return _PACKED + base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def from_payload(payload: str) -> Instance:
    """The inverse of `Instance.payload`. Raises DataError."""
    try:
        return from_row(json.loads(_unpacked(payload)))
    except (ValueError, zlib.error) as error:
        raise DataError(
            f"payload of a SWE task ({payload[:40]!r}...): not an instance ({error}). "
            "Remedy: take tasks from SweEnv.task_set, or prepare the task sets again"
        ) from error


def _unpacked(payload: str) -> str:
    if not payload.startswith(_PACKED):
        return payload
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(base64.b64decode(payload[len(_PACKED) :], validate=True), MAX_PAYLOAD_BYTES)
    if not unpacker.eof:
        raise ValueError(f"more than {MAX_PAYLOAD_BYTES} bytes, or cut off")
    return text.decode()


def from_row(row: Mapping[str, Any]) -> Instance:
    """A row of SWE-bench as an instance. Raises DataError naming what is missing, ValueError for what does not read."""
    if not isinstance(row, Mapping):
        raise DataError(f"row of SWE-bench: {type(row).__name__} instead of named columns. Remedy: one object per row")
    given = {name: value for name, value in row.items() if value is not None}
    if not given.get("image") and not given.get("files"):
        given.pop("image", None)
    try:
        return Instance.model_validate(given)
    except ValidationError as error:
        missing = [fault["loc"][0] for fault in error.errors() if fault["type"] == "missing"]
        if not missing:
            raise
        raise DataError(
            f"instance {row.get('instance_id', '?')!r}: no {', '.join(missing)}. Remedy: use data of the format that "
            "swebench 5 grades (each row carries image, eval_script, log_parser and eval_type)"
        ) from None
