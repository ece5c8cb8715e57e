"""The mix between rounds: what each task has shown lately, what it is owed, and what that makes of the next groups.

All of it is part of the checkpoint, so that a resumed run plans the rounds that the uninterrupted one would have planned.
What a plan follows are earlier rounds alone: within a group nothing depends on how its own episodes go, so advantages and
measured effects stay unbiased.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from crl.config import Config
from crl.config.rollout import LEAST_HALF
from crl.learn.advantages import carries_signal, subgroups
from crl.types import Episode

HALF_LIFE_ROUNDS = 5.0  # some 60 subgroups of each task of `quick`: fast enough to follow an actor that learns


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one task; what is a rounds old counts 0.5^(a / HALF_LIFE_ROUNDS)."""

    subgroups: float = 0.0
    with_signal: float = 0.0
    free: float = 0.0  # episodes of rounds in which the bank guided the others
    free_won: float = 0.0
    guided: float = 0.0
    guided_won: float = 0.0

    @property
    def signal(self) -> float:
        """Share of its subgroups that carry signal, 1 while nothing is known."""
        return (self.with_signal + 1) / (self.subgroups + 1)

    @property
    def utility(self) -> float:
        """Guided minus free success, each half with one success and one failure more: 0 while nothing is known."""
        return (self.guided_won + 1) / (self.guided + 2) - (self.free_won + 1) / (self.free + 2)


@dataclass(frozen=True, slots=True)
class Mix:
    """Where the mix stands between two rounds."""

    tallies: dict[str, Tally] = field(default_factory=dict)  # by task
    owed: dict[str, float] = field(default_factory=dict)  # groups that a task is behind its share; see `allot`


def counted(tallies: Mapping[str, Tally], episodes: Iterable[Episode], *, guided: bool) -> dict[str, Tally]:
    """The tallies after a round; `guided`: the bank took part in it, so that it says something about the bank."""
    kept = 0.5 ** (1 / HALF_LIFE_ROUNDS)
    sums = {
        name: {part.name: kept * getattr(tally, part.name) for part in fields(Tally)} for name, tally in tallies.items()
    }
    for members in subgroups(episodes):
        task = sums.setdefault(members[0].task.name, {part.name: 0.0 for part in fields(Tally)})
        task["subgroups"] += 1
        task["with_signal"] += carries_signal(members)
        if guided:
            half = "guided" if members[0].guided else "free"
            task[half] += len(members)
            task[f"{half}_won"] += sum(episode.success for episode in members)
    return {name: Tally(**parts) for name, parts in sorted(sums.items())}


def weights(config: Config, names: Iterable[str], tallies: Mapping[str, Tally]) -> dict[str, float]:
    """Each task's weight in the mix; by `tasks.follow_signal` less where its subgroups are flat, and never 0."""
    follow = config.tasks.follow_signal
    return {
        name: config.tasks.mix[name].weight * (1 - follow + follow * tallies.get(name, Tally()).signal)
        for name in names
    }


def allot(
    owed: Mapping[str, float], weights: Mapping[str, float], groups: int
) -> tuple[tuple[str, ...], dict[str, float]]:
    """The tasks of the next groups, in the order of `weights`, and what each is owed afterwards.

    Smooth weighted round robin: with each group every task is owed its share of one more, and whoever is owed most
    plays. Nobody is ever ahead by a whole group, so among k tasks nobody is behind by k - 1, whatever the weights do.
    """
    whole, due, played = sum(weights.values()), {name: owed.get(name, 0.0) for name in weights}, []
    for _ in range(groups):
        due = {name: behind + weights[name] / whole for name, behind in due.items()}
        played.append(max(due, key=due.__getitem__))
        due[played[-1]] -= 1
    order = list(weights)
    return tuple(sorted(played, key=order.index)), due


def free_members(config: Config, tally: Tally) -> int:
    """How many of a group's episodes are free; by `rollout.guided_share` the fewer the more the bank has helped lately.

    A utility of u moves u / 2 of the group from one half to the other.
    """
    rollout = config.rollout
    if rollout.guided_share == "fixed":
        return rollout.free_per_group
    wanted = rollout.free_per_group - round(tally.utility * rollout.group_size / 2)
    return min(max(wanted, LEAST_HALF), rollout.group_size - LEAST_HALF)
