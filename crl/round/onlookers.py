"""Who looks on at a run's rounds: a tally for whoever shows progress, a journal for `crl watch`."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager

from crl.episode.journal import Journal
from crl.episode.plan import RoundPlan
from crl.episode.spectators import Spectator
from crl.episode.tally import Tally
from crl.round.hooks import Hooks
from crl.round.parts import Parts
from crl.types import Episode, EpisodeFailure


class Onlookers:
    def __init__(self, parts: Parts, hooks: Hooks) -> None:
        self._follow, self._journals = hooks.follow, parts.state.episodes if hooks.journal else None
        # Shards that others play come back whole, and other engines than ours sample them.
        self._engine = None if hooks.play_shard else parts.actor.engine
        self._tally: Tally | None = None
        self.now: tuple[Spectator, ...] = ()  # of the round whose episodes are played

    @contextmanager
    def round(self, plan: RoundPlan) -> Iterator[None]:
        """The block plays the plan's episodes."""
        self._tally = Tally(f"round {plan.round}", plan.specs, self._engine, place="episodes")
        self._follow(self._tally)
        with ExitStack() as stack:
            stack.callback(setattr, self, "now", ())
            self.now = (self._tally,)
            if self._journals:
                self.now += (stack.enter_context(closing(Journal(self._journals, plan.round, len(plan.specs)))),)
            yield

    def expect(self, more: RoundPlan) -> None:
        """Further groups of the round are played."""
        self._tally.add(more.specs)

    def arrived(self, ends: Iterable[Episode | EpisodeFailure]) -> None:
        """A shard that was played elsewhere has come back."""
        for end in ends:
            for spectator in self.now:
                spectator.ended(end)
