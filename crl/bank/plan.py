"""From what an extractor wrote to changes of the bank: pure functions, called under the writer's lock."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crl.bank.records import Change, Keyed, Kind
from crl.bank.reports import MergeStep
from crl.types import Experience, Operation, OperationKind, Origin, stable_id


def entry_id(run_id: str, completion_id: str, index: int) -> str:
    """Of the index-th operation or merged text of a completion."""
    return stable_id(run_id, completion_id, index, "entry")


def operation_cause(run_id: str, completion_id: str, index: int) -> str:
    return stable_id(run_id, completion_id, index, "operation")


def merge_cause(run_id: str, completion_id: str) -> str:
    return stable_id(run_id, completion_id, "merge")


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """What all operations of one completion have in common."""

    run_id: str
    completion_id: str
    scope: str
    round: int
    origin: Origin
    key_text: str
    vector: np.ndarray  # of the key text, float32 [D]


def operation_changes(
    operations: Mapping[int, Operation], common: Template, is_live: Callable[[str, str], bool]
) -> list[Change]:
    """One change per operation, by its index; an update replaces those targets that still exist."""
    changes: list[Change] = []
    gone: set[str] = set()
    for index, operation in operations.items():
        targets = tuple(
            id_ for id_ in dict.fromkeys(operation.target_ids) if id_ not in gone and is_live(id_, common.scope)
        )
        gone.update(targets)
        id_ = entry_id(common.run_id, common.completion_id, index)
        entry = Experience(id_, common.scope, operation.text, common.key_text, common.origin, parents=targets)
        kind = Kind.ADD if operation.kind is OperationKind.ADD else Kind.UPDATE
        cause = operation_cause(common.run_id, common.completion_id, index)
        changes.append(Change(kind, common.round, common.scope, cause, (Keyed(entry, common.vector),), targets))
    return changes


def merge_change(
    step: MergeStep,
    parents: Sequence[Keyed],
    run_id: str,
    scope: str,
    round: int,
    shrunk_effect: Callable[[str], float],
) -> Change:
    """Parents out, merged texts in: keyed by the parents' mean direction and the best parent's key text."""
    best = max(reversed(parents), key=lambda keyed: shrunk_effect(keyed.entry.id))
    mean = np.mean([keyed.vector for keyed in parents], axis=0, dtype=np.float64)
    norm = np.linalg.norm(mean)
    vector = (mean / norm).astype(np.float32) if norm > 1e-6 else best.vector  # opposite keys have no mean direction
    origin = Origin(step.completion.id, "", round, "merge")
    added = tuple(
        Keyed(Experience(id_, scope, text, best.entry.key_text, origin, step.parent_ids), vector)
        for index, text in enumerate(step.texts)
        if (id_ := entry_id(run_id, step.completion.id, index))
    )
    return Change(Kind.MERGE, round, scope, merge_cause(run_id, step.completion.id), added, step.parent_ids)
