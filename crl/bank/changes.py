"""What a completion changes in the bank: the texts that it adds, and the entries that they replace."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from crl.bank.effect import Belief, Beliefs
from crl.bank.keys import direction
from crl.bank.records import Change, Keyed, Kind, Record, State
from crl.extractor.merge import MergeChunk
from crl.replies.refusals import RefusalReason
from crl.types import Experience, Operation, OperationKind, Origin, stable_id

ADOPTED_AT_ONCE = 256  # entries of another bank in one transaction


@dataclass(frozen=True, slots=True)
class Report:
    """What one completion did to the bank."""

    added: tuple[str, ...] = ()  # by operation: the entry that holds its text now
    repeated: tuple[str, ...] = ()  # those of them that were in the bank before, or are in quarantine
    replaced: tuple[str, ...] = ()  # targets of updates, parents of merged texts
    evicted: tuple[str, ...] = ()  # the table was full
    joined: tuple[str, ...] = ()  # near duplicates: another entry has their origins and uses now
    vanished: int = 0  # targets of updates that were no longer there
    refused: tuple[RefusalReason, ...] = ()
    conflict: bool = False  # a parent had left the bank, or a merged text is in quarantine: nothing was done
    again: bool = False  # the completion had been applied before: nothing was done


Standing = Callable[
    [str], tuple[str, State | None]
]  # of a text by its id: the entry that has it, and where that stands


def entry_id(run_id: str, scope: str, text: str) -> str:
    """One text of one scope is one entry, whoever writes it."""
    return stable_id(run_id, scope, text, "entry")


def operation_cause(run_id: str, completion_id: str, index: int) -> str:
    return stable_id(run_id, completion_id, index, "operation")


def merge_cause(run_id: str, completion_id: str) -> str:
    return stable_id(run_id, completion_id, "merge")


def written_by(run_id: str, operations: Mapping[int, Operation], common: Keyed) -> dict[int, Keyed]:
    """The text of each operation as it was written: an entry with one origin.

    `common` is what the texts of the completion have in common: an entry without id and text.
    """
    entries = {
        index: replace(
            common.entry, id=entry_id(run_id, common.entry.task, operation.text), text=operation.text, parents=()
        )
        for index, operation in operations.items()
    }
    return {index: Keyed(entry, common.vector) for index, entry in entries.items()}


def operation_changes(
    run_id: str, operations: Mapping[int, Operation], written: Mapping[int, Keyed], standing: Standing,
    is_live: Callable[[str, str], bool],
) -> list[Change]:  # fmt: skip
    """One change per operation, by its index; an update replaces those targets that are in the bank and say something else.

    A text in quarantine replaces nothing. `is_live` tells of an id whether it is in the bank, and in that scope.
    """
    changes: list[Change] = []
    meanwhile: dict[str, State] = {}  # what the operations before did
    for index, operation in operations.items():
        entry, vector = written[index]
        owner, state = standing(entry.id)
        state, targets = meanwhile.get(owner, state), ()
        if state is not State.QUARANTINED:
            named = (id_ for id_ in dict.fromkeys(operation.target_ids) if id_ != owner)
            targets = tuple(
                id_ for id_ in named
                if (meanwhile[id_] is State.LIVE if id_ in meanwhile else is_live(id_, entry.task))
            )  # fmt: skip
            meanwhile |= {owner: State.LIVE} | dict.fromkeys(targets, State.GONE)
        kind = Kind.ADD if operation.kind is OperationKind.ADD else Kind.UPDATE
        if state in (State.LIVE, State.QUARANTINED) and not targets:
            kind = Kind.REPEAT
        cause = operation_cause(run_id, entry.origin.completion_id, index)
        added = (Keyed(replace(entry, parents=targets), vector),)
        changes.append(Change(kind, entry.origin.round, entry.task, cause, added, removed=targets))
    return changes


def adoption(
    run_id: str, records: Sequence[Record], known: Beliefs, source: str
) -> tuple[list[Change], dict[str, Belief]]:
    """Another bank's entries as they are written before round 0, the oldest first, and what it believed of them, by their ids here.

    Each leads to its row in `source`. In parts: near duplicates are looked for in one at a cost that grows with its square.
    """
    changes, imported = [], {}
    by_scope: dict[str, list[Keyed]] = defaultdict(list)
    for old, vector in ((record.entry, record.vector) for record in records):
        id_, origin = (
            entry_id(run_id, old.task, old.text),
            Origin(f"{source}#{old.id}", old.origin.episode, -1, "import"),
        )
        by_scope[old.task].append(Keyed(Experience(id_, old.task, old.text, old.key_text, origin), vector))
        imported[id_] = known.belief(old.id)
    for scope, written in sorted(by_scope.items()):
        for first in range(0, len(written), ADOPTED_AT_ONCE):
            added = tuple(written[first : first + ADOPTED_AT_ONCE])
            cause = stable_id(run_id, source, scope, first, "import")
            changes.append(Change(Kind.IMPORT, -1, scope, cause, added, detail=f"{len(added)} entries of {source}"))
    return changes, imported


def merge_change(
    run_id: str, chunk: MergeChunk, parents: Sequence[Keyed], round: int,
    belief: Callable[[str], Belief], standing: Standing,
) -> Change | None:  # fmt: skip
    """Parents out, merged texts in: keyed by the parents' mean direction and the best parent's key text.

    A parent whose text was written again stays. None where a text is in quarantine.
    """
    best = max(reversed(parents), key=lambda keyed: belief(keyed.entry.id).mean)
    vector = direction([keyed.vector.astype("float64") for keyed in parents], otherwise=best.vector)
    origin = Origin(chunk.completion.id, "", round, "merge")
    ids = [entry_id(run_id, chunk.scope, text) for text in chunk.texts]
    standings = [standing(id_) for id_ in ids]
    if any(state is State.QUARANTINED for _, state in standings):
        return None
    staying = {owner for owner, _ in standings}
    added = tuple(
        Keyed(
            Experience(
                id_, chunk.scope, text, best.entry.key_text, origin, tuple(p for p in chunk.parent_ids if p != owner)
            ),
            vector,
        )
        for id_, text, (owner, _) in zip(ids, chunk.texts, standings, strict=True)
    )
    removed = tuple(id_ for id_ in chunk.parent_ids if id_ not in staying)
    return Change(Kind.MERGE, round, chunk.scope, merge_cause(run_id, chunk.completion.id), added, removed=removed)
