"""How whoever runs a `CoEvolution` takes part in it: one value, given at `CoEvolution.open`."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TypeVar

from crl.episode.tally import Tally
from crl.learn.crew import StartCrew
from crl.round.shards import PlayShard
from crl.types import Episode, EpisodeFailure

T = TypeVar("T")
Unit = Callable[[], Awaitable[T]]
RunUnit = Callable[[str, Unit[T]], Coroutine[None, None, T]]  # (name, unit) -> the unit's value
Follow = Callable[[Tally], None]
Inspect = Callable[[int, Sequence[Episode | EpisodeFailure]], Awaitable[None]]  # (round, how its episodes ended)


async def run_plainly(name: str, unit: Unit[T]) -> T:
    """Runs a unit of work as it is; a flow makes a task run of it."""
    return await unit()


async def let_all_pass(round_: int, ends: Sequence[Episode | EpisodeFailure]) -> None:
    """Inspects nothing; an inspection raises on data that must not be learned from."""


def show_nobody(tally: Tally) -> None:
    """Follows no episodes; whoever does may ask the tally where they stand."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """The plain ways, unless others are put in their place."""

    run_unit: RunUnit = run_plainly
    inspect: Inspect = let_all_pass
    play_shard: PlayShard | None = None  # None: this process plays; else a shard is a unit of whoever plays it
    start_crew: StartCrew | None = None  # of learners that are placed elsewhere
    follow: Follow = show_nobody  # is given the tally of each round's episodes when they begin
    journal: bool = False  # write each turn down, for `crl watch`


PLAIN = Hooks()
