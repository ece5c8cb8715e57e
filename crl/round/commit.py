"""Rounds commit atomically: everything a resumed run needs, renamed into place last.

A checkpoint is one folder: both trainers, the extractor's buffer and what its guard keeps, the bank ledger's position, what the
round carries over, the report. The bank snapshot lies in its own folder, named by the same round, and is written first. A start
takes the newest checkpoint and undoes whatever came after it: later ledger events, snapshots and reports. That may be a round's
whole play, since a checkpoint may be written beside the rollouts of the next round.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from crl.actor.gate import TaskRecord
from crl.bank.start import start_of
from crl.episode.mix import Mix
from crl.errors import DataError
from crl.files import discard, prune, read_json, recover, round_folder, rounds_in, write_atomically, write_json
from crl.round.parts import Parts
from crl.round.report import RoundReport
from crl.round.state import CHECKPOINT_FORMAT, damaged
from crl.spans import Spans
from crl.types import Episode, Task

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """Where a run stands between rounds, besides weights and bank."""

    __pydantic_config__ = ConfigDict(ser_json_inf_nan="constants")

    round: int = -1  # the last committed one
    closed: bool = False  # what that one carried over was done, too
    for_actor: tuple[Episode, ...] = ()  # played, not yet trained on
    to_distil: tuple[Episode, ...] = ()  # played, not yet distilled
    written: dict[str, Task] = field(
        default_factory=dict
    )  # entry -> where it was written, since the last round was planned
    memorised: dict[str, list[float]] = field(default_factory=dict)  # entry -> what each of its probes measured
    successes: Counter[str] = field(default_factory=Counter)  # by task, both halves: the gate is told
    episodes: Counter[str] = field(default_factory=Counter)
    mix: Mix = field(default_factory=Mix)

    def record_success(self, episodes: Iterable[Episode]) -> None:
        for episode in episodes:
            self.successes[episode.task.name] += episode.success
            self.episodes[episode.task.name] += 1

    def records(self) -> dict[str, TaskRecord]:
        """How the actor did on each task in all rounds before this one."""
        return {task: TaskRecord(self.successes[task] / count, count) for task, count in self.episodes.items()}


Committed = Callable[[RoundReport], Awaitable[None]]  # told of a round that is on disk
_PROGRESS, _REPORT = TypeAdapter(Progress), TypeAdapter(RoundReport)


@dataclass(frozen=True, slots=True)
class Taken:
    """A round as it ended, not yet on disk."""

    report: RoundReport
    make_durable: Callable[[], None]  # in any thread

    async def write(self, took: Callable[[float], None], committed: Committed | None) -> None:
        """Bring it to disk beside the event loop, tell how many seconds that took, then tell of the round.

        Cancelled, it ends when the writing has: nothing stops a thread, and who is given the run's lock must find no one writing.
        """
        began, writing = time.perf_counter(), asyncio.create_task(asyncio.to_thread(self.make_durable))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing})
            if (error := writing.exception()) is not None:
                log.warning("round %d did not get to disk: %s", self.report.round, error)
            raise
        took(time.perf_counter() - began)
        if committed is not None:
            await committed(self.report)


def take_down(parts: Parts, progress: Progress, spans: Spans, finish_report: Callable[[], RoundReport]) -> Taken:
    """Where the round ended: bank and small files at once, models and optimisers as they are when it is made durable.

    So until then nothing may change what learns, nor what the guard keeps; the bank may go on, and so may everything else. No
    await in here: what is taken down belongs together.
    """
    state, round_ = parts.state, progress.round
    with spans.on_path("snapshot"):
        write_atomically(round_folder(state.snapshots, round_), parts.snapshot)
    learners = (parts.actor, parts.extractor)
    versions = {learner.role: learner.version for learner in learners}
    manifest = {"format": CHECKPOINT_FORMAT, "versions": versions, "bank_position": parts.bank.position}
    taken = {"progress.json": _PROGRESS.dump_json(progress), "buffer.json": parts.buffer.dump()}
    save_guard = parts.guard.saving() if parts.guard is not None else None
    report = finish_report()

    def write(folder: Path) -> None:
        for learner in learners:
            learner.save(folder / learner.role)
        if save_guard is not None:
            save_guard(folder / "guard")
        for name, content in taken.items():
            (folder / name).write_bytes(content)
        write_json(folder / "manifest.json", manifest)
        write_json(report_file(state.path, report), _REPORT.dump_python(report, mode="json"))

    def make_durable() -> None:
        write_atomically(checkpoint := round_folder(state.checkpoints, round_), write)
        for learner in learners:
            learner.committed(checkpoint / learner.role)
        prune(state.checkpoints, parts.config.rounds.keep_checkpoints)

    return Taken(report, make_durable)


def resume(parts: Parts) -> Progress:
    """Load the newest checkpoint and undo what came after it; a fresh run when no round was committed.

    Raises DataError for a checkpoint of another release or a damaged one, and where the checkpoints are gone; it undoes nothing
    then.
    """
    state = parts.state
    for folder in (state.checkpoints, state.snapshots):
        recover(folder)
    last = max(rounds_in(state.checkpoints), default=-1)
    progress, position = Progress(), 0
    if last < 0 and len(committed := rounds_in(state.snapshots)) > 1:  # a kill in the first commit leaves one
        raise DataError(
            f"{state.checkpoints}: no checkpoint, though {len(committed)} rounds were committed: to go on would undo all "
            f"that they put into the bank. Remedy: bring the newest checkpoint back, or remove {state.path} to begin anew"
        )
    if last >= 0:
        progress, position = _load(parts, last)
    for later in rounds_in(state.snapshots):
        if later > last:
            discard(round_folder(state.snapshots, later))
    for report in reports(state.path):
        if report.round > last + (report.closing and progress.closed):
            report_file(state.path, report).unlink()
    parts.bank.truncate_to(position)
    if last < 0:
        _start_bank(parts)
    return progress


def _load(parts: Parts, round_: int) -> tuple[Progress, int]:
    """The round's progress and its place in the bank's ledger; all that learns is as it was then. Raises DataError."""
    state, folder = parts.state, round_folder(parts.state.checkpoints, round_)
    manifest = state.manifest(round_)
    try:
        progress = _PROGRESS.validate_json((folder / "progress.json").read_bytes())
        parts.buffer.load((folder / "buffer.json").read_bytes())
        if parts.recollections:
            parts.recollections.load(round_folder(state.snapshots, round_))
        for learner in (parts.actor, parts.extractor):
            learner.load(folder / learner.role, manifest["versions"][learner.role])
        if parts.guard is not None:
            parts.guard.load(folder / "guard")
    except ValidationError as error:
        raise damaged(folder, DataError(f"progress.json: {error.errors()[0]['msg']}")) from error
    except (DataError, FileNotFoundError) as error:
        raise damaged(folder, error) from error
    return progress, manifest["bank_position"]


def _start_bank(parts: Parts) -> None:
    """What `bank.start` names goes into the run's empty bank."""
    start = start_of(parts.config, *parts.bank.embedder)
    if start is not None and (refused := parts.bank.adopt(start.records, start.known, parts.config.bank.start)):
        log.warning("bank.start: %d of %d texts are refused, as a model's would be", refused, len(start.records))


def report_file(folder: Path, report: RoundReport) -> Path:
    """Where a run's folder keeps the report. `resume` removes those of rounds that never committed."""
    return folder / "reports" / ("closing.json" if report.closing else f"round_{report.round:04d}.json")


def reports(folder: Path) -> list[RoundReport]:
    """The committed rounds' reports in order, and the closing one where the last round had carried something over."""
    files = [*sorted((folder / "reports").glob("round_*.json")), *(folder / "reports").glob("closing.json")]
    return [_REPORT.validate_python(read_json(file)) for file in files]
