"""Probes: does an experience help elsewhere, or does it only describe the level that it was written on?

A probe shows one entry to the guided halves of two groups of its task: the first plays once more the instance on which the text
was written, the second an instance of its own. Either keeps its free half, so either measures guided minus free success; the
first less the second is what the text has memorised. No situation asked for these showings: they credit nobody, and
they are no evidence on the entry's effect.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from crl.bank.bank import Bank
from crl.config import Config
from crl.episode.plan import EpisodeSpec, RoundPlan
from crl.learn.rewards import free_rates
from crl.round.commit import Progress
from crl.round.parts import Parts
from crl.seeding import stream
from crl.types import Episode, Experience, Task


@dataclass(frozen=True, slots=True)
class Probe:
    entry: Experience
    source: Task  # the instance on which it was written
    own: int  # the group that plays it again
    other: int  # the group that plays what it was to play


class Probes:
    """Those of a run: chosen when a round is planned, measured when it was played."""

    def __init__(self, parts: Parts, progress: Progress) -> None:
        self._config, self._bank, self._progress = parts.config, parts.bank, progress
        self.now: tuple[Probe, ...] = ()  # of the round that is played

    def put_into(self, plan: RoundPlan) -> RoundPlan:
        """The plan with a probe of what was written since the last round was planned, where there is any."""
        written, self._progress.written = self._progress.written, {}
        self.now = choose(self._config, plan, written, self._bank)
        return probing(plan, self.now)

    def measure(self, episodes: Iterable[Episode]) -> dict[str, float]:
        """Keep what the round's probes found, for the reward that asks; the mean is NaN where none found anything."""
        found = memorised(self.now, episodes)
        for entry_id, value in found.items():
            self._progress.memorised.setdefault(entry_id, []).append(value)
        mean = statistics.fmean(found.values()) if found else math.nan
        return {"extractor/memorisation": mean, "extractor/probes": float(len(found))} if self.now else {}


def choose(config: Config, plan: RoundPlan, written: Mapping[str, Task], bank: Bank) -> tuple[Probe, ...]:
    """At most `extractor.probe_pairs` of the entries `written` lately (id -> instance) that are in the bank, drawn by lot."""
    if plan.warming_up or not config.extractor.probe_pairs:
        return ()
    groups: dict[str, list[int]] = defaultdict(list)
    for group, name in sorted({(spec.key.group, spec.task.name) for spec in plan.specs}):
        groups[name].append(group)
    lot = stream(config.run.seed, "probe", plan.round).permutation(sorted(written)).tolist()
    probes: list[Probe] = []
    for entry_id in lot:
        entry, source = bank.get(entry_id), written[entry_id]
        if entry is not None and len(groups[source.name]) >= 2:
            probes.append(Probe(entry, source, groups[source.name].pop(), groups[source.name].pop()))
        if len(probes) == config.extractor.probe_pairs:
            break
    return tuple(probes)


def probing(plan: RoundPlan, probes: Iterable[Probe]) -> RoundPlan:
    """The plan with the probes' groups in it."""
    own = {probe.own: probe for probe in probes}
    shown = own | {probe.other: probe for probe in probes}

    def changed(spec: EpisodeSpec) -> EpisodeSpec:
        if spec.key.group not in shown:
            return spec
        probe = shown[spec.key.group]
        return replace(
            spec,
            task=probe.source if spec.key.group in own else spec.task,
            shown=probe.entry if spec.guided else None,
        )

    return replace(plan, shards=tuple(replace(one, specs=tuple(map(changed, one.specs))) for one in plan.shards))


def unprobed(episodes: Iterable[Episode], probes: Iterable[Probe]) -> list[Episode]:
    """Those that found their experience by their situation, and all free ones."""
    groups = {group for probe in probes for group in (probe.own, probe.other)}
    return [episode for episode in episodes if not (episode.guided and episode.key.group in groups)]


def memorised(probes: Iterable[Probe], episodes: Iterable[Episode]) -> dict[str, float]:
    """Own minus other difference by entry, in [-2, 2]; a probe that lost one of its four halves says nothing."""
    episodes = list(episodes)
    guided: dict[int, list[bool]] = defaultdict(list)
    for episode in episodes:
        if episode.guided:
            guided[episode.key.group].append(episode.success)
    free = {group: rate for (_, group), rate in free_rates(episodes).items()}
    gains = {group: statistics.fmean(won) - free[group] for group, won in guided.items() if group in free}
    return {
        probe.entry.id: gains[probe.own] - gains[probe.other]
        for probe in probes
        if probe.own in gains and probe.other in gains
    }
