"""One task of SWE-bench, and how it travels in a task's payload."""

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
_TEXTS = (
    "instance_id", "repo", "version", "base_commit", "image", "problem_statement", "patch", "test_patch", "eval_script",
    "log_parser", "eval_type",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement in a local repository: `old` occurs exactly once in the broken file."""

    path: str
    old: str
    new: str


Candidate = tuple[Edit, ...]  # a repair, or a plausible wrong one


@dataclass(frozen=True, slots=True)
class Instance:
    """The fields of a SWE-bench row that playing and grading need (swebench 5: the row carries image and eval script)."""

    id: str
    repo: str
    version: str
    base_commit: str
    image: str  # whose /testbed is the repository; "": `files` in the sandbox's base image
    problem_statement: str
    patch: str  # the reference repair; never enters a container of the agent
    test_patch: str
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    eval_script: str
    log_parser: str
    eval_type: str
    difficulty: float | None = None  # 1 (a quarter of an hour) ... 4
    files: Mapping[str, str] = field(default_factory=dict)  # of a local repository
    candidates: tuple[Candidate, ...] = ()  # of a local repository: the repair first

    @property
    def title(self) -> str:
        """The first line of the issue, cut to one short sentence."""
        lines = self.problem_statement.strip().splitlines() or [self.id]
        return lines[0].strip()[:150]

    def row(self) -> dict[str, Any]:
        """As the official harness and our own reader take it."""
        row: dict[str, Any] = {name: getattr(self, "id" if name == "instance_id" else name) for name in _TEXTS}
        row |= {"FAIL_TO_PASS": list(self.fail_to_pass), "PASS_TO_PASS": list(self.pass_to_pass)}
        row["difficulty"] = self.difficulty
        if self.files:
            row["files"] = dict(self.files)
            row["candidates"] = [[[e.path, e.old, e.new] for e in edits] for edits in self.candidates]
        return row

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
    """A row of SWE-bench as an instance. Raises DataError naming what is missing."""
    if not isinstance(row, Mapping):
        raise DataError(f"row of SWE-bench: {type(row).__name__} instead of named columns. Remedy: one object per row")
    if missing := [name for name in (*_TEXTS, "FAIL_TO_PASS", "PASS_TO_PASS") if not _present(row, name)]:
        raise DataError(
            f"instance {row.get('instance_id', '?')!r}: no {', '.join(missing)}. Remedy: use data of the format that "
            "swebench 5 grades (each row carries image, eval_script, log_parser and eval_type)"
        )
    texts = {name: str(row[name]) for name in _TEXTS}
    return Instance(
        id=texts.pop("instance_id"),
        fail_to_pass=_names(row["FAIL_TO_PASS"]),
        pass_to_pass=_names(row["PASS_TO_PASS"]),
        difficulty=_difficulty(row.get("difficulty")),
        files=dict(row.get("files") or {}),
        candidates=tuple(tuple(Edit(*edit) for edit in edits) for edits in row.get("candidates") or ()),
        **texts,
    )


def _present(row: Mapping[str, Any], name: str) -> bool:
    if name == "image":
        return bool(row.get("image")) or bool(row.get("files"))
    return row.get(name) is not None


def _names(value: Any) -> tuple[str, ...]:
    """A list of test names, or one as JSON text, which the hub's data use."""
    names = json.loads(value) if isinstance(value, str) else list(value)
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ValueError(f"a list of test names is {str(value)[:60]!r}")
    return tuple(names)


def _difficulty(value: Any) -> float | None:
    if isinstance(value, str):
        return _DIFFICULTY.get(value)
    return None if value is None else float(value)
