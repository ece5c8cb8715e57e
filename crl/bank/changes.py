"""From what an extractor wrote to changes of the bank, and what became of them: pure functions and values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from crl.bank.records import Change, Keyed, Kind
from crl.extractor.merge import MergeChunk
from crl.replies.refusals import RefusalReason
from crl.types import Experience, Operation, OperationKind, Origin, stable_id


@dataclass(frozen=True, slots=True)
class Report:
    """What one completion did to the bank."""

    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()  # targets of updates, parents of merged texts
    evicted: tuple[str, ...] = ()  # the table was full
    deduped: tuple[str, ...] = ()  # too close to one of the added
    vanished: int = 0  # targets of updates that were no longer there
    refused: tuple[RefusalReason, ...] = ()
    conflict: bool = False  # a parent had left the bank: nothing was done
    repeated: bool = False  # had been applied before: nothing was done


def entry_id(run_id: str, completion_id: str, index: int) -> str:
    """Of the index-th operation or merged text of a completion."""
    return stable_id(run_id, completion_id, index, "entry")


def operation_cause(run_id: str, completion_id: str, index: int) -> str:
    return stable_id(run_id, completion_id, index, "operation")


def merge_cause(run_id: str, completion_id: str) -> str:
    return stable_id(run_id, completion_id, "merge")


def operation_changes(
    run_id: str, operations: Mapping[int, Operation], common: Keyed, is_live: Callable[[str, str], bool]
) -> list[Change]:
    """One change per operation, by its index; an update replaces those targets that still exist.

    `common` is what the entries of the completion have in common: an entry without id and text.
    """
    scope, origin = common.entry.task, common.entry.origin
    changes: list[Change] = []
    gone: set[str] = set()
    for index, operation in operations.items():
        targets = tuple(id_ for id_ in dict.fromkeys(operation.target_ids) if id_ not in gone and is_live(id_, scope))
        gone.update(targets)
        id_ = entry_id(run_id, origin.completion_id, index)
        entry = replace(common.entry, id=id_, text=operation.text, parents=targets)
        kind = Kind.ADD if operation.kind is OperationKind.ADD else Kind.UPDATE
        cause = operation_cause(run_id, origin.completion_id, index)
        changes.append(Change(kind, origin.round, scope, cause, (Keyed(entry, common.vector),), targets))
    return changes


def merge_change(
    run_id: str, chunk: MergeChunk, parents: Sequence[Keyed], round: int, shrunk_effect: Callable[[str], float]
) -> Change:
    """Parents out, merged texts in: keyed by the parents' mean direction and the best parent's key text."""
    best = max(reversed(parents), key=lambda keyed: shrunk_effect(keyed.entry.id))
    mean = np.mean([keyed.vector for keyed in parents], axis=0, dtype=np.float64)
    norm = np.linalg.norm(mean)
    vector = (mean / norm).astype(np.float32) if norm > 1e-6 else best.vector  # opposite keys have no mean direction
    completion_id = chunk.completion.id
    origin = Origin(completion_id, "", round, "merge")
    added = tuple(
        Keyed(Experience(id_, chunk.scope, text, best.entry.key_text, origin, chunk.parent_ids), vector)
        for index, text in enumerate(chunk.texts)
        if (id_ := entry_id(run_id, completion_id, index))
    )
    return Change(Kind.MERGE, round, chunk.scope, merge_cause(run_id, completion_id), added, chunk.parent_ids)
