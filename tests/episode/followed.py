"""Who is given tallies to follow, for tests: it keeps them."""

from crl.episode.tally import Progress, Tally


class Followed(Progress):
    def __init__(self) -> None:
        self.tallies: list[Tally] = []

    def follow(self, tally: Tally) -> None:
        self.tallies.append(tally)

    @property
    def names(self) -> list[str]:
        """Of the batches, in the order in which they began."""
        return [tally.what for tally in self.tallies]
