"""An entry as an object of the collection, and back."""

import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from crl.bank.records import body_digest
from crl.types import Experience, Origin, stable_id

FORMAT = 1  # of one object; another number makes a repair write it again


class Counters(NamedTuple):
    """How an entry was used. `used` are guided episodes that retrieved it, in groups with a control."""

    shown: int = 0
    last_shown_round: int = -1
    used: int = 0
    successes: int = 0


def uuid_of(tenant: str, entry_id: str) -> uuid.UUID:
    """The same entry of the same run has the same id, so a repeated write changes nothing."""
    return uuid.UUID(stable_id(tenant, entry_id))


def digest_of(entry: Experience, vector: np.ndarray, family: str) -> str:
    """Of all that never changes in an object."""
    return f"{FORMAT}:{family}:{body_digest(entry, vector)}"


def properties_of(entry: Experience, family: str, counters: Counters, digest: str) -> dict[str, Any]:
    origin = entry.origin
    return {
        "entry_id": entry.id,
        "task": entry.task,
        "family": family,
        "text": entry.text,
        "key_text": entry.key_text,
        "completion": origin.completion_id,
        "episode": origin.episode,
        "round": origin.round,
        "purpose": origin.purpose,
        "parents": list(entry.parents),
        "format": FORMAT,
        "digest": digest,
        **counters._asdict(),
    }


def counters_of(properties: Mapping[str, Any]) -> Counters:
    """Those of an object; one of an older schema may lack some."""
    given = {name: properties.get(name) for name in Counters._fields}
    return Counters(**{name: int(value) for name, value in given.items() if value is not None})


def experience_of(properties: Mapping[str, Any]) -> Experience:
    origin = Origin(properties["completion"], properties["episode"], int(properties["round"]), properties["purpose"])
    counters = counters_of(properties)
    return Experience(
        properties["entry_id"], properties["task"], properties["text"], properties["key_text"], origin,
        tuple(properties["parents"] or ()), counters.shown, counters.last_shown_round,
    )  # fmt: skip
