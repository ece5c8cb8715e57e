"""Figures of an arm over its seeds, with intervals, and of two arms over the seeds that both have.

**The unit is the seed.** One seed draws the base models, the training levels and every token, and one model plays all tasks: a run
counts once, with all its tasks. Seeds are resampled, within each arm by itself and for two arms in pairs (the strata of the
bootstrap are the arms). The held-out panel is fixed: an interval tells what other seeds would do on the same levels.

**Interquartile means** (Agarwal et al., "Deep RL at the edge of the statistical precipice", 2021) leave out the lowest and the
highest quarter of the seeds, so that one run that collapsed, or was lucky, does not decide.

**Intervals are percentile bootstraps** by scipy. Its default method, BCa, gives nan where all values are equal. With 8 seeds a
nominal 95 % covers about 92 % (normal runs; tests/study/test_statistics.py): an interval that barely excludes 0 says little.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from crl.seeding import stream

RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure over `seeds` runs with its interval, which is NaN where one run is all there is."""

    value: float
    low: float
    high: float
    seeds: int


def iqm(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Interquartile mean: a quarter of the values, rounded down, is left out at either end."""
    return stats.trim_mean(values, 0.25, axis=axis)


def of_one(values: Sequence[float]) -> Estimate:
    """The interquartile mean of an arm's runs (n,)."""
    return _estimate((np.asarray(values, float),), iqm)


def difference(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """The interquartile mean of `first` minus `second`, both (n,) in the order of the same seeds."""
    return of_one(np.subtract(first, second))


def improvement(first: Sequence[float], second: Sequence[float], *, less_is_more: bool = False) -> Estimate:
    """How likely a run of the first arm is better than one of the second; a draw counts half. Over all pairs of runs.

    (n,) each, in the order of the same seeds, which are resampled together.
    """
    sign = -1.0 if less_is_more else 1.0
    samples = (sign * np.asarray(first, float), sign * np.asarray(second, float))
    return _estimate(samples, _wins, paired=True)


def _wins(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    first, second = np.moveaxis(first, axis, -1), np.moveaxis(second, axis, -1)
    return (0.5 + 0.5 * np.sign(first[..., :, None] - second[..., None, :])).mean((-1, -2))


def _estimate(samples: tuple[np.ndarray, ...], statistic, *, paired: bool = False) -> Estimate:
    count, value = len(samples[0]), float(statistic(*samples))
    if count < 2:
        return Estimate(value, float("nan"), float("nan"), count)
    found = stats.bootstrap(
        samples, statistic, paired=paired, vectorized=True, n_resamples=RESAMPLES, confidence_level=CONFIDENCE,
        method="percentile", rng=stream("study", "bootstrap"),
    )  # fmt: skip
    low, high = found.confidence_interval
    return Estimate(value, float(low), float(high), count)
