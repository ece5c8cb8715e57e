"""Who holds the slots of a concurrency limit of Prefect, by what its server tells over HTTP.

A server keeps leases in its memory unless it is told otherwise. When it restarts it forgets them and goes on counting their
slots, so that those of a run which died meanwhile are never given back (measured with 3.8.8). What it keeps are the events of
taking and giving back.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

GPU = "gpu"  # the limit that updates share, across all runs of a server
OURS = "crl"  # tag of every run that this repository starts
EVENT = "prefect.concurrency-limit"  # and .acquired or .released
FREED = "crl.unit"  # in the payload of .released: another run gave it back for this one
UNKNOWN = "unknown"  # state of a holder without a run that the server knows
_PAGES = 20  # of 50 events, the newest first: no slot is held while others are taken and given back 500 times
_ENDED = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")

Ask = Callable[
    [str, object], Any
]  # (path below the API, payload or None) -> the answer's JSON, None where there is no such thing


@dataclass(frozen=True, slots=True)
class Holder:
    """Who took a slot and has not given it back."""

    unit: str  # Prefect's id of the task run, or of the flow run outside a task; empty: no run took it
    name: str  # of the flow run
    state: str
    ended: bool


@dataclass(frozen=True, slots=True)
class Slots:
    """How many are taken, and by whom as far as that is known."""

    limit: str  # Prefect's id
    taken: int
    holders: tuple[Holder, ...] = ()

    @property
    def ended(self) -> tuple[Holder, ...]:
        return tuple(holder for holder in self.holders if holder.ended)

    @property
    def ended_told(self) -> str:
        return ", ".join(f"{holder.name} ({holder.state})" for holder in self.ended)

    @property
    def lost(self) -> int:
        """Those that a run held which has ended, without what others hold: nobody gives them back."""
        return max(0, min(len(self.ended), self.taken - (len(self.holders) - len(self.ended))))

    @property
    def unknown(self) -> int:
        """Those that no known run holds."""
        return max(0, self.taken - sum(holder.state != UNKNOWN for holder in self.holders))


def read_slots(ask: Ask, name: str = GPU) -> Slots | None:
    """The slots of a limit; None where there is no such limit."""
    limit = ask(f"/v2/concurrency_limits/{name}", None)
    if limit is None:
        return None
    if not limit["active_slots"]:
        return Slots(limit["id"], 0)
    took = list(_not_given_back(_events(ask, limit["id"])))
    ids = sorted({_id(event, "flow-run") for event in took} - {""})
    runs = ask("/flow_runs/filter", {"flow_runs": {"id": {"any_": ids}}}) if ids else []
    by_id = {run["id"]: run for run in runs}
    holders = tuple(_holder(event, by_id.get(_id(event, "flow-run"))) for event in took)
    return Slots(limit["id"], limit["active_slots"], holders)


def _events(ask: Ask, limit: str) -> Iterator[dict[str, Any]]:
    """Of taking and giving back, the newest first."""
    names = [f"{EVENT}.acquired", f"{EVENT}.released"]
    wanted = {"event": {"name": names}, "resource": {"id": [f"{EVENT}.{limit}"]}, "order": "DESC"}
    page = ask("/events/filter", {"filter": wanted, "limit": 50})
    for _ in range(_PAGES):
        yield from page["events"]
        if not page["next_page"]:
            return
        page = ask(f"/events/filter/next?{urlsplit(page['next_page']).query}", None)


def _not_given_back(events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    given_back: Counter[str] = Counter()
    for event in events:
        unit = event["payload"].get(FREED) or _unit(event)
        if event["event"].endswith(".released"):
            given_back[unit] += 1
        elif given_back[unit]:
            given_back[unit] -= 1
        else:
            yield event


def _holder(event: dict[str, Any], run: dict[str, Any] | None) -> Holder:
    """A run that is not known (deleted, another server's, none) counts as one that lives."""
    if run is None:
        return Holder(_unit(event), _id(event, "flow-run") or "no run", UNKNOWN, ended=False)
    ended = run["state_type"] in _ENDED
    # Ours never pause: one that began to run after the slot was taken is a retry, in another process.
    if not ended and OURS in run["tags"] and run["state_type"] == "RUNNING":
        ended = datetime.fromisoformat(run["state"]["timestamp"]) > datetime.fromisoformat(event["occurred"])
    return Holder(_unit(event), run["name"], run["state_name"] or "", ended)


def _unit(event: dict[str, Any]) -> str:
    return _id(event, "task-run") or _id(event, "flow-run")


def _id(event: dict[str, Any], role: str) -> str:
    """Of the run with this role that an event is of."""
    for related in event["related"]:
        if related.get("prefect.resource.role") == role:
            return related["prefect.resource.id"].removeprefix(f"prefect.{role}.")
    return ""
