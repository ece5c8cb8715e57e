"""Who looks on while episodes are played: to count them, to write them down, to keep how they ended."""

from crl.episode.clock import Clock
from crl.episode.plan import EpisodeSpec
from crl.types import Episode, EpisodeFailure, Guidance, Turn


class Spectator:
    """Told of every episode, on the event loop that plays it; this one heeds nothing.

    Nothing that is played depends on a spectator. It must be quick, and what it raises ends the run.
    """

    def tried(self, spec: EpisodeSpec, clock: Clock) -> None:
        """The episode is tried, once or again: from now on the clock tells what it waits for. Not told of others' plays."""

    def began(self, spec: EpisodeSpec, goal: str, guidance: Guidance | None) -> None:
        """The first prompt stands. An episode that infrastructure loses, and that is tried again, begins again."""

    def took(self, spec: EpisodeSpec, turn: Turn) -> None:
        """A turn is over. Not told of what is played elsewhere: that arrives whole, at its end."""

    def ended(self, end: Episode | EpisodeFailure) -> None:
        """How the episode ended, once in a play."""
