"""How the commands of `crl bank` tell of entries."""

from collections.abc import Callable, Sequence

from crl.bank.effect import EntryEffect
from crl.bank.ledger import Ledger
from crl.bank.records import Record, State, Writing


def effect_text(effect: EntryEffect | None) -> str:
    return "not measured" if effect is None else str(effect)


def standing(ledger: Ledger, record: Record) -> str:
    """Where an entry stands, and since when and why if it is not in the bank."""
    if record.state is State.LIVE:
        return "in the bank"
    event = ledger.event(record.stands_since)
    how = "in quarantine since" if record.state is State.QUARANTINED else "left in"
    return f"{how} round {event.round}: {event.kind} {event.detail}".strip()


def written(ledger: Ledger, writing: Writing) -> str:
    """Who wrote a text once, from what, and what that replaced."""
    origin = writing.origin
    told = [f"{origin.purpose} in round {origin.round}, completion {origin.completion_id}"]
    if source := ledger.completion(origin.completion_id):
        trained, _ = ledger.trainings(source.id)
        told.append(f"weights version {source.version}, trained on {trained} times")
    if origin.episode:
        told.append(f"episode {origin.episode}")
    if writing.parents:
        told.append(f"replaced {' '.join(parent[:8] for parent in writing.parents)}")
    return ", ".join(told)


def lineage(id_: str, before: Callable[[str], Sequence[str]]) -> list[str]:
    """The entry and all that came before it, directly or through others: each once, the nearest first."""
    found = [id_]
    seen = {id_}
    for entry_id in found:  # which grows meanwhile
        fresh = [other for other in dict.fromkeys(before(entry_id)) if other not in seen]
        seen.update(fresh)
        found += fresh
    return found


def short(text: str, width: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
