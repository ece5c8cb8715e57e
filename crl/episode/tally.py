"""How far the episodes of a batch are, counted while they are played, for whoever shows it."""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from crl.engine.protocol import Engine
from crl.episode.clock import Clock
from crl.episode.plan import EpisodeSpec
from crl.episode.spectators import Spectator
from crl.types import Episode, EpisodeFailure, EpisodeKey, Guidance, Turn


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a batch stands at one moment."""

    planned: int
    ended: int
    lost: int  # of these, to infrastructure
    turns: int
    tokens: int  # that the actor's engine has sampled since the batch began, the gate's replies among them
    elapsed_s: float
    success: dict[str, float]  # share of the ended episodes, by arm: "free", "guided"; an arm without any is left out
    left_s: float | None  # estimated; None: nothing to estimate it by

    @property
    def moved(self) -> tuple[int, int, int]:
        """What differs as soon as anything has happened."""
        return self.ended, self.turns, self.tokens

    def __str__(self) -> str:
        """All but the numbers that a bar shows: success so far, speed, what was lost."""
        arms = ", ".join(f"{arm} {share:.0%}" for arm, share in self.success.items())
        said = [f"success {arms}"] if arms else []
        if self.tokens:
            said.append(f"{self.tokens / self.elapsed_s:,.0f} tokens/s")
        if self.lost:
            said.append(f"{self.lost} lost")
        return ", ".join(said)


class Live(NamedTuple):
    """An episode that is played now."""

    key: EpisodeKey
    task: str
    doing: str  # the span that it is in, of `crl.spans`, or "gate"
    since_s: float  # of the wall clock
    turn: int  # from 0


class _End(NamedTuple):
    guided: bool
    success: bool | None  # None: lost
    turns: int


class Tally(Spectator):
    """Counts one batch. The event loop that plays writes, any thread may ask for the standing."""

    def __init__(
        self,
        what: str,
        specs: Iterable[EpisodeSpec],
        engine: Engine | None,
        *,
        before: int = 0,
        place: str | None = None,
    ) -> None:
        """`what` names the batch; it is shown in the place of whatever had the same `place` before.

        `engine` is the actor's; without one, as when others play, tokens are those of the turns. `before`: further episodes of the
        batch, which an earlier process has played.
        """
        self.what, self.place, self.planned = what, place or what, before
        self._engine, self._before = engine, before
        self._turns = self._tokens = 0
        self._running: dict[EpisodeKey, int] = {}  # turns taken
        self._ended: dict[EpisodeKey, _End] = {}
        self._tried: dict[EpisodeKey, tuple[str, Clock]] = {}  # and have not ended: task and clock
        # By task, and the turns that it takes at most.
        self._keys: dict[tuple[str, int], list[EpisodeKey]] = defaultdict(list)
        self.add(specs)
        self._began = self._last = self._now()

    def add(self, specs: Iterable[EpisodeSpec]) -> None:
        """Further episodes belong to the batch."""
        for spec in specs:
            self._keys[spec.task.name, spec.task.max_steps].append(spec.key)
            self.planned += 1

    def tried(self, spec: EpisodeSpec, clock: Clock) -> None:
        self._tried[spec.key] = spec.task.name, clock

    def began(self, spec: EpisodeSpec, goal: str, guidance: Guidance | None) -> None:
        self._ended.pop(spec.key, None)
        self._running[spec.key] = 0

    def took(self, spec: EpisodeSpec, turn: Turn) -> None:
        self._running[spec.key] += 1
        self._count((turn,))

    def ended(self, end: Episode | EpisodeFailure) -> None:
        self._tried.pop(end.key, None)
        turns = end.turns if isinstance(end, Episode) else ()
        if self._running.pop(end.key, None) is None:  # it was played elsewhere
            self._count(turns)
        self._ended[end.key] = _End(end.guided, end.success if isinstance(end, Episode) else None, len(turns))
        self._last = self._now()

    def _now(self) -> tuple[float, int]:
        """Seconds of the clock, and tokens so far."""
        return time.perf_counter(), self._engine.tokens if self._engine else self._tokens

    def _count(self, turns: Iterable[Turn]) -> None:
        for turn in turns:
            self._turns += 1
            self._tokens += len(turn.completion.token_ids)

    @property
    def moved(self) -> tuple[int, int, int]:
        """What differs as soon as anything has happened: ended episodes, turns, tokens."""
        return len(self._ended), self._turns, self._now()[1]

    def live(self) -> list[Live]:
        """The episodes that are played here now, and what each waits for."""
        running = self._running.copy()
        return [Live(key, task, *clock.now, running.get(key, 0)) for key, (task, clock) in self._tried.copy().items()]

    def standing(self) -> Standing:
        ended, running = self._ended.copy(), self._running.copy()  # each at a stroke: they change meanwhile
        won = {
            arm: [end.success for end in ended.values() if end.guided is guided and end.success is not None]
            for arm, guided in (("free", False), ("guided", True))
        }
        over = self._before + len(ended)
        now_s, tokens = self._last if over >= self.planned else self._now()
        elapsed_s = max(now_s - self._began[0], 1e-9)
        return Standing(
            planned=self.planned,
            ended=over,
            lost=sum(end.success is None for end in ended.values()),
            turns=self._turns,
            tokens=tokens - self._began[1],
            elapsed_s=elapsed_s,
            success={arm: sum(each) / len(each) for arm, each in won.items() if each},
            left_s=elapsed_s * self._turns_left(ended, running) / self._turns if self._turns else None,
        )

    def _turns_left(self, ended: dict[EpisodeKey, _End], running: dict[EpisodeKey, int]) -> float:
        left = 0.0
        for (_, most), keys in list(self._keys.items()):
            lengths = [ended[key].turns for key in keys if key in ended and ended[key].success is not None]
            taken = [running[key] for key in keys if key in running]
            waiting = sum(key not in ended and key not in running for key in keys)
            left += turns_left(lengths, taken, waiting, most)
        return left


def turns_left(lengths: Sequence[int], taken: Sequence[int], waiting: int, most: int) -> float:
    """Turns that a task's episodes are still expected to take: those that run, and `waiting` others.

    Read off the Kaplan-Meier curve of an episode's length: what runs counts with the turns that it has survived, since the short
    ones end first. What no episode has reached yet is taken to go on as long as it may.
    """
    running = np.array(taken, int)
    reached = np.append(np.array(lengths, int), np.minimum(running + 1, most))  # what runs may end with its next turn
    ended_K = np.bincount(reached[: len(lengths)], minlength=most + 1)
    at_risk_K = np.bincount(reached, minlength=most + 1)[::-1].cumsum()[::-1]
    alive_K = np.cumprod(1 - ended_K / np.maximum(at_risk_K, 1))  # share of the episodes that go on after k turns
    until_K = np.append(0.0, alive_K.cumsum())  # turns that an episode takes on average, of its first k
    rest = (until_K[most] - until_K[running]) / np.maximum(alive_K[running], 1e-9)  # of those that have got so far
    return float(rest.sum() + waiting * until_K[most])


class Progress:
    """Who is told how far long work is; from any thread. This one tells nobody."""

    def __call__(self, what: str, done: int, of: int) -> None:
        """`what` names the work at hand; `of` is 0 where nobody knows."""

    def follow(self, tally: Tally) -> None:
        """A batch of episodes begins: where it stands may be asked from now on."""


SILENT = Progress()
