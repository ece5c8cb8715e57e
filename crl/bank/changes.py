"""From what an extractor wrote to changes of the bank, and what is told of them: pure functions and values."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from crl.bank.records import Change, Keyed, Kind
from crl.types import Completion, Experience, Operation, OperationKind, Origin, stable_id


class Refusal(StrEnum):
    """Why a text did not enter the bank."""

    EMPTY = "empty"
    TOO_LONG = "too_long"
    CONTROL_CHARACTERS = "control_characters"
    NOT_UNICODE = "not_unicode"  # lone surrogates: they can neither be stored nor tokenised
    SPECIAL_TOKEN = "special_token"  # would break out of its place in a chat prompt


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SPECIAL = re.compile(r"<\|[\w▁]{1,40}\|>")


def refusal_of(text: str, max_chars: int) -> Refusal | None:
    """Experience texts are untrusted: they are model output on its way into another model's prompt."""
    if not text.strip():
        return Refusal.EMPTY
    if len(text) > max_chars:
        return Refusal.TOO_LONG
    if _SURROGATE.search(text):
        return Refusal.NOT_UNICODE
    if _CONTROL.search(text):
        return Refusal.CONTROL_CHARACTERS
    if _SPECIAL.search(text):
        return Refusal.SPECIAL_TOKEN
    return None


class Left(NamedTuple):
    """What left the bank because of what arrived, beside what the operation itself replaced."""

    evicted: tuple[str, ...] = ()  # the table was full
    deduped: tuple[str, ...] = ()  # too close to a newer one


@dataclass(frozen=True, slots=True)
class AppliedReport:
    """What one completion's operations did."""

    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()  # targets of updates
    evicted: tuple[str, ...] = ()
    deduped: tuple[str, ...] = ()  # too close to one of the added
    vanished: int = 0  # targets that were no longer there
    refused: tuple[Refusal, ...] = ()
    repeated: bool = False  # had been applied before: nothing was done


@dataclass(frozen=True, slots=True)
class MergeStep:
    """One chunk of a merge: these entries become these texts, by this completion.

    A parent may be an entry that an earlier step creates: `Bank.entry_id` tells its id beforehand.
    """

    parent_ids: tuple[str, ...]
    texts: tuple[str, ...]
    completion: Completion


@dataclass(frozen=True, slots=True)
class MergeReport:
    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    evicted: tuple[str, ...] = ()
    deduped: tuple[str, ...] = ()  # too close to one of the added
    applied: int = 0  # steps
    conflicts: int = 0  # steps dropped because a parent had left the bank
    refused: int = 0  # steps dropped because a text was refused: parents stay
    repeated: int = 0  # steps that had been applied before

    def with_step(self, change: Change, left: "Left") -> "MergeReport":
        added = tuple(keyed.entry.id for keyed in change.added)
        return replace(
            self,
            added=self.added + added,
            replaced=self.replaced + change.removed,
            evicted=self.evicted + left.evicted,
            deduped=self.deduped + left.deduped,
            applied=self.applied + 1,
        )


def id_of(run_id: str, completion_id: str, index: int) -> str:
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
        id_ = id_of(common.run_id, common.completion_id, index)
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
        if (id_ := id_of(run_id, step.completion.id, index))
    )
    return Change(Kind.MERGE, round, scope, merge_cause(run_id, step.completion.id), added, step.parent_ids)
