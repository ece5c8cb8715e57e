"""What experiences are worth by their age: guided minus free success where they were shown, by rounds since they were written.

That experience goes stale while the actor learns is the paper's (arXiv 2603.17621) case for a bank that lives.

**The unit is the group.** Its guided episodes that were shown entries of one age count together, less the rate of its free half;
each group counts the same, and groups are resampled. The runs are fixed: an interval tells of other groups of these runs.

**Age is not randomised**, so a row is a description and no effect of growing old. An old text is one that retrieval still
chose and that nothing replaced or retired, and it is shown late, to an actor that succeeds more often by itself; each row has its
mean round and its free success for that. What aging does is an experiment: the arm `static_bank` of a study.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

import numpy as np

from crl.bank.effect import CONFIDENCE, Use
from crl.bank.ledger_reads import LedgerReads
from crl.evaluation.intervals import bonett_price, bootstrap
from crl.seeding import stream

BINS = (0, 2, 5, 10, 20)  # rounds: the first age of each bin
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Showing:
    """What one group says of one entry, and how old that was, in rounds."""

    bank: int  # which of several
    use: Use
    since_last: int  # since its text was last written, by a distillation, an update or a merge
    since_first: int


@dataclass(frozen=True, slots=True)
class AgeEffect:
    """Of all showings of one age; NaN where there is none."""

    ages: str  # in rounds
    groups: int
    episodes: int  # guided ones
    round: float  # mean over the groups, as what follows
    free: float  # success rate without experience
    effect: float
    low: float
    high: float


def showings(ledger: LedgerReads, bank: int = 0, scope: str | None = None) -> Iterator[Showing]:
    """All showings in groups that have a free episode; `scope`: one table's alone.

    What a round writes is shown from the next one on, so a text's writings in the round of a showing count where it has no
    older ones alone (`run.schedule: async`). Near duplicates that joined an entry count as its writings.
    """
    wanted = {subject.id for subject in ledger.subjects() if scope in (None, subject.scope)}
    written = {id_: [writing.origin.round for writing in ledger.writings(id_)] for id_ in wanted}
    for use in ledger.uses():
        if use.entry_id in wanted:
            before = [round_ for round_ in written[use.entry_id] if round_ < use.round] or [use.round]
            yield Showing(bank, use, use.round - max(before), use.round - min(before))


def by_age(found: Iterable[Showing], age: Callable[[Showing], int]) -> list[AgeEffect]:
    """A row for each bin of `age`, and one for all."""
    bins: dict[int, list[Showing]] = defaultdict(list)
    for showing in found:
        bins[max(first for first in BINS if first <= age(showing))].append(showing)
    ends = (*(f"-{first - 1}" for first in BINS[1:]), " or more")
    rows = [_row(f"{first}{end}", bins[first]) for first, end in zip(BINS, ends, strict=True)]
    return [*rows, _row("all", [showing for first in BINS for showing in bins[first]])]


def _row(ages: str, found: Sequence[Showing]) -> AgeEffect:
    groups: dict[tuple[int, int, int], list[Use]] = defaultdict(list)
    for showing in found:
        groups[showing.bank, showing.use.round, showing.use.group].append(showing.use)
    if not groups:
        return AgeEffect(ages, 0, 0, *[float("nan")] * 5)
    free = [uses[0].s_free / uses[0].n_free for uses in groups.values()]
    guided = [sum(use.s_guided for use in uses) / sum(use.n_guided for use in uses) for uses in groups.values()]
    effect, low, high = _interval(np.subtract(guided, free))
    episodes = sum(showing.use.n_guided for showing in found)
    rounds = fmean(round_ for _, round_, _ in groups)
    return AgeEffect(ages, len(groups), episodes, rounds, fmean(free), effect, low, high)


def _interval(differences: np.ndarray) -> tuple[float, float, float]:
    """Mean of paired differences (G,) with its interval, as `crl.evaluation.statistics` has them: it collapses nowhere."""
    count = len(differences)
    weights = stream("bank", "age").multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    mean, low, high = bootstrap(weights, differences, CONFIDENCE)
    floor_low, floor_high = bonett_price(differences, NormalDist().inv_cdf((1 + CONFIDENCE) / 2))
    return mean, min(low, floor_low), max(high, floor_high)
