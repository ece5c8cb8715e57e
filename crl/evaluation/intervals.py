"""Intervals of means over levels: the cluster bootstrap, and analytic ones that stay honest where it collapses."""

import numpy as np


def bootstrap(weights: np.ndarray, values: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Mean and percentile interval; `weights` (samples, L) says how often each resample drew each of the (L) levels."""
    drawn = weights.sum(axis=1)
    # A resample misses every played level only where few of a task's levels were played; it then says nothing.
    replicates = (weights @ values)[drawn > 0] / drawn[drawn > 0]
    low, high = np.quantile(replicates, ((1 - confidence) / 2, (1 + confidence) / 2))
    mean = float(values.mean())
    return mean, min(mean, float(low)), max(mean, float(high))


def wilson(level_means: np.ndarray, episodes: int, z: float) -> tuple[float, float]:
    """Wilson's score interval of a rate; `level_means` (L) are the success rates of the levels.

    Episodes of one level are alike, so they count as fewer: the effective number lies between the number of levels (all
    alike) and of episodes (independent), by the ratio of binomial to observed variance between levels.
    """
    levels, rate = len(level_means), float(level_means.mean())
    between = float(level_means.var())
    n = levels if between == 0 else min(max(levels * rate * (1 - rate) / between, levels), episodes)
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    margin = z / (1 + z * z / n) * (rate * (1 - rate) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - margin), min(1.0, centre + margin)


def bonett_price(level_differences: np.ndarray, z: float) -> tuple[float, float]:
    """Interval of a mean paired difference in [-1, 1], with one level of +1 and one of -1 added to the (L) observed."""
    padded = np.append(level_differences, (1.0, -1.0))
    centre, margin = float(padded.mean()), z * float(padded.std()) / len(padded) ** 0.5
    return max(-1.0, centre - margin), min(1.0, centre + margin)


def combined(value: float, by_task: list[np.ndarray], intervals: list[tuple[float, float]]) -> tuple[float, float]:
    """The interval of the pooled mean from the tasks' own: distances to the bounds add in quadrature."""
    played = [y for y in by_task if len(y)]
    levels = sum(map(len, played))
    shares = [(len(y) / levels, float(y.mean()), *bounds) for y, bounds in zip(played, intervals, strict=True)]
    below = sum((share * max(mean - low, 0.0)) ** 2 for share, mean, low, _ in shares) ** 0.5
    above = sum((share * max(high - mean, 0.0)) ** 2 for share, mean, _, high in shares) ** 0.5
    return value - below, value + above
