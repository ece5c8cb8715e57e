"""How far the episodes of a batch are, counted while they are played, for whoever shows it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from crl.engine.protocol import Engine
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


class _End(NamedTuple):
    guided: bool
    success: bool | None  # None: lost
    turns: int


class Tally(Spectator):
    """Counts one batch. The event loop that plays writes, any thread may ask for the standing."""

    def __init__(
        self, what: str, planned: int, engine: Engine | None, *, before: int = 0, place: str | None = None
    ) -> None:
        """`what` names the batch; it is shown in the place of whatever had the same `place` before.

        `engine` is the actor's; without one, as when others play, tokens are those of the turns. `before`: episodes of the
        batch that an earlier process has played.
        """
        self.what, self.place, self.planned = what, place or what, before + planned
        self._engine, self._before = engine, before
        self._turns = self._tokens = 0
        self._began = self._last = self._now()
        self._running: dict[EpisodeKey, tuple[int, int]] = {}  # turns taken, turns at most
        self._ended: dict[EpisodeKey, _End] = {}

    def add(self, planned: int) -> None:
        """Further episodes belong to the batch."""
        self.planned += planned

    def began(self, spec: EpisodeSpec, goal: str, guidance: Guidance | None) -> None:
        self._ended.pop(spec.key, None)
        self._running[spec.key] = 0, spec.task.max_steps

    def took(self, spec: EpisodeSpec, turn: Turn) -> None:
        taken, most = self._running[spec.key]
        self._running[spec.key] = taken + 1, most
        self._count((turn,))

    def ended(self, end: Episode | EpisodeFailure) -> None:
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

    def standing(self) -> Standing:
        ends, running = list(self._ended.values()), list(self._running.values())  # copied at a stroke: they change
        won = {
            arm: [end.success for end in ends if end.guided is guided and end.success is not None]
            for arm, guided in (("free", False), ("guided", True))
        }
        ended = self._before + len(ends)
        now_s, tokens = self._last if ended >= self.planned else self._now()
        elapsed_s = max(now_s - self._began[0], 1e-9)
        return Standing(
            planned=self.planned,
            ended=ended,
            lost=sum(end.success is None for end in ends),
            turns=self._turns,
            tokens=tokens - self._began[1],
            elapsed_s=elapsed_s,
            success={arm: sum(each) / len(each) for arm, each in won.items() if each},
            left_s=_left_s(elapsed_s, self.planned - ended, ends, running),
        )


def _left_s(elapsed_s: float, left: int, ends: list[_End], running: list[tuple[int, int]]) -> float | None:
    """Seconds until `left` more episodes have ended, at the pace so far.

    A running episode counts as the part of it that has been played: its turns against those of an episode that ended, or,
    before any has, against the most that it may take.
    """
    lengths = [end.turns for end in ends if end.success is not None]
    typical = sum(lengths) / len(lengths) if lengths else 0.0
    part = min(left, sum(taken / max(taken + 1, typical or most) for taken, most in running))
    done = len(ends) + part
    return elapsed_s * (left - part) / done if done else None


class Progress:
    """Who is told how far long work is; from any thread. This one tells nobody."""

    def __call__(self, what: str, done: int, of: int) -> None:
        """`what` names the work at hand; `of` is 0 where nobody knows."""

    def follow(self, tally: Tally) -> None:
        """A batch of episodes begins: where it stands may be asked from now on."""


SILENT = Progress()
