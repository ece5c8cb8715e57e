"""Whose slot is called lost: only one that a run took which has ended, beyond all that others hold."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crl.doctor.slots import EVENT, OURS, Slots, read_slots

RUNS = {
    "ended": ("CRASHED", "2026-01-01T10:00:30+00:00", [OURS]),
    "living": ("RUNNING", "2026-01-01T09:00:00+00:00", [OURS]),
    "retried": ("RUNNING", "2026-01-01T11:00:00Z", [OURS]),  # since it took its slot
    "paused": ("RUNNING", "2026-01-01T11:00:00+00:00", []),  # another team's, that holds its slot meanwhile
}


def event(what: str, unit: str, run: str, **payload: str) -> dict[str, Any]:
    pairs = (("task-run", unit), ("flow-run", run))
    related = [{"prefect.resource.role": role, "prefect.resource.id": f"prefect.{role}.{id_}"} for role, id_ in pairs]
    return {
        "event": f"{EVENT}.{what}", "related": related if run else [], "payload": payload, "occurred": "2026-01-01T10:00:00Z",
    }  # fmt: skip


def seen(taken: int, *newest_first: dict[str, Any]) -> Slots:
    """What the server tells, two events a page."""

    def ask(path: str, payload: Any) -> Any:
        if path.startswith("/v2"):
            return {"id": "limit", "active_slots": taken}
        if path.startswith("/events"):
            at = int(path.partition("page-token=")[2] or 0)
            more = at + 2 < len(newest_first)
            next_page = f"http://elsewhere/api/events/filter/next?page-token={at + 2}" if more else None
            return {"events": newest_first[at : at + 2], "next_page": next_page}
        ids = payload["flow_runs"]["id"]["any_"]
        return [
            {"id": id_, "name": id_, "state_type": state, "state_name": state.title(), "state": {"timestamp": since}, "tags": tags}
            for id_, (state, since, tags) in RUNS.items()
            if id_ in ids
        ]  # fmt: skip

    return read_slots(ask)


def test_a_slot_is_lost_when_its_run_has_ended_or_begun_anew_and_not_when_it_was_given_back() -> None:
    took = [event("acquired", unit, unit) for unit in ("ended", "retried", "living", "paused")]
    now = seen(4, *took)
    assert ([holder.name for holder in now.ended], now.lost, now.unknown) == (["ended", "retried"], 2, 0)
    assert seen(3, event("released", "ended", "ended"), *took).lost == 1
    assert seen(3, event("released", "waits", "living", **{"crl.unit": "ended"}), *took).lost == 1  # by another run
    assert seen(2, *took).lost == 0  # their events were lost, and their slots are free
    assert seen(0, *took) == Slots("limit", 0)


def test_a_slot_that_no_known_run_holds_is_told_and_not_called_lost() -> None:
    now = seen(3, event("acquired", "", ""), event("acquired", "gone", "gone"), event("acquired", "living", "living"))
    assert (now.lost, now.unknown) == (0, 2)


@given(st.lists(st.sampled_from(sorted(RUNS)), max_size=8), st.integers(0, 8))
def test_freeing_what_is_lost_leaves_all_that_living_runs_hold(units: list[str], more: int) -> None:
    """Whatever events of giving back were lost: the living ones' slots are among those that are taken."""
    living = sum(unit in ("living", "paused") for unit in units)
    now = seen(living + more, *(event("acquired", f"{unit}{at}", unit) for at, unit in enumerate(units)))
    assert now.taken - now.lost >= living
