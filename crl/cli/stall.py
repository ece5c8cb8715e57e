"""A watchdog over long work: when nothing has moved for a while, it says what is waited for, and where that is."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from crl.config import Config
from crl.config.addresses import addresses
from crl.episode.tally import Live

_NAMED = 3  # of the episodes that wait for the same: those that have waited longest
_WORDS = {
    "generate": "generating",
    "gate": "asking the gate",
    "env_step": "in the environment",
    "retrieve": "retrieving",
}


class Watchdog:
    """Is told now and then where the work stands, by whoever shows it; it has no thread of its own."""

    def __init__(self, stall_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stall_s, self._clock = stall_s, clock
        self._seen: object = None
        self._since_s, self._told_s = clock(), 0.0  # of the last movement; how long it was, when that was told last

    def look(self, moved: object, waits: Callable[[], str]) -> str | None:
        """What is to be said now, if anything: after `stall_s`, twice that and so on; and once when it moves again.

        Args:
            moved: differs from the last one as soon as anything has moved
            waits: what is waited for, in words
        """
        still_s = self._clock() - self._since_s
        if moved != self._seen:
            told, self._seen, self._since_s, self._told_s = self._told_s, moved, self._clock(), 0.0
            return f"it moves again, after {duration(still_s)}" if told else None
        if still_s < max(self._stall_s, 2 * self._told_s):
            return None
        self._told_s = still_s
        return f"nothing has moved for {duration(still_s)} (run.stall_s = {self._stall_s:g}); {waits()}"


def waited_for(units: Mapping[str, float], live: Sequence[Live], places: Mapping[str, str]) -> str:
    """What runs and for how long: units with the seconds that they have run, episodes by what they wait for.

    `places`: where that is done, by the name of the span or by the unit's first word.
    """
    now_s, said = time.time(), []
    for unit, seconds in units.items():
        said.append(f"{unit} runs for {duration(seconds)}{_at(places, unit.split('-')[0])}")
    by_span: dict[str, list[Live]] = defaultdict(list)
    for episode in sorted(live, key=lambda one: one.since_s):
        by_span[episode.doing].append(episode)
    for span, episodes in by_span.items():
        named = [
            f"{one.key} {one.task} turn {one.turn} for {duration(now_s - one.since_s)}" for one in episodes[:_NAMED]
        ]
        more = [f"{len(episodes) - _NAMED} more"] if len(episodes) > _NAMED else []
        noun = "1 episode is" if len(episodes) == 1 else f"{len(episodes)} episodes are"
        said.append(f"{noun} {_WORDS.get(span, span)}{_at(places, span)} ({', '.join(named + more)})")
    return "; ".join(said) or "no unit runs here"


def places(config: Config) -> dict[str, str]:
    """Where a run's waits are: by span, and by the first word of a unit's name."""
    known = addresses(config.servers)
    here = "this process" if config.envs.workers == 0 else f"{config.envs.workers} environment processes"
    models = {role: ", ".join(known.of_models[role]) for role in ("actor", "extractor")}
    if not config.engine.declared.remote:
        models = dict.fromkeys(models, "the engine in this process")
    bank = known.weaviate.url if known.weaviate else ""
    read = [where for where in (bank, *known.embedder) if where]
    cluster = {"rollout": f"Ray, {known.ray or 'on this machine'}"} if config.run.task_runner == "ray" else {}
    return cluster | {
        "generate": models["actor"],
        "gate": models["actor"],
        "env_step": f"{here}, Docker's containers below them" if config.tasks.in_containers else here,
        "retrieve": ", ".join(read) or "the bank in this process",
        "distil": models["extractor"],
        "merge": models["extractor"],
    }


def duration(seconds: float) -> str:
    """To two figures or so: an estimate is no better."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _at(places: Mapping[str, str], name: str) -> str:
    return f" at {places[name]}" if name in places else ""
