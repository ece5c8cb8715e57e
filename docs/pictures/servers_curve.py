"""Draws training success of the same profile in one process and with every server real.

    python docs/pictures/servers_curve.py --one-process REPORTS ... --servers REPORTS ...

The folders are `runs/co_evolve/<lineage>/reports` of runs of the profile `servers`, one per seed, see docs/servers.md. Lines
are means over five rounds, thin ones of each run, thick ones of all; the band spans the runs in one process. Prints the
means over the thirds of each run and over all of it, and for each of these how often runs dealt to the two sides
at random would lie as far apart (the exact permutation test of the difference of means, two-sided).
"""

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

WINDOW = 5  # rounds
ARMS = ("free", "guided")
KINDS = {"one process": "C0", "all servers": "C1"}


def successes(reports: Path, arm: str) -> np.ndarray:
    """Of the rounds from the second on: the first has nothing to be guided by."""
    rows = [json.loads(file.read_text())["metrics"] for file in sorted(reports.glob("round_*.json"))[1:]]
    if not rows:
        raise SystemExit(f"{reports}: no round reports")
    return np.array([row[f"rollout/success_{arm}"] for row in rows])


def smoothed(rounds: np.ndarray) -> np.ndarray:
    return np.convolve(rounds, np.ones(WINDOW) / WINDOW, "valid")


def means(rounds: np.ndarray) -> np.ndarray:
    """Over the first, second and last third, and over all."""
    return np.array([part.mean() for part in np.array_split(rounds, 3)] + [rounds.mean()])


def chance(one: np.ndarray, other: np.ndarray) -> float:
    """Share of all ways to deal the runs in which the means lie no closer than they do."""
    runs = np.concatenate([one, other])

    def distance(chosen: Sequence[int]) -> float:
        return abs(runs[list(chosen)].mean() - np.delete(runs, chosen).mean())

    dealt = [distance(chosen) for chosen in itertools.combinations(range(len(runs)), len(one))]
    return float(np.mean(np.array(dealt) >= distance(range(len(one))) - 1e-12))


def tell(arm: str, runs: dict[str, list[np.ndarray]]) -> None:
    parts = {kind: np.array([means(one) for one in found]) for kind, found in runs.items()}
    for kind, rows in parts.items():
        for row in [*rows, rows.mean(axis=0)]:
            sys.stdout.write(f"{arm}, {kind}: {', '.join(f'{value:.3f}' for value in row)}\n")
    one, other = parts.values()
    by_chance = [f"{chance(one[:, part], other[:, part]):.2f}" for part in range(one.shape[1])]
    sys.stdout.write(f"{arm}: as far apart by chance in {', '.join(by_chance)} of all ways to deal the runs\n")


def draw(axis: plt.Axes, arm: str, runs: dict[str, list[np.ndarray]]) -> None:
    for (kind, colour), found in zip(KINDS.items(), runs.values(), strict=True):
        curves = np.array([smoothed(one) for one in found])
        rounds = np.arange(curves.shape[1]) + WINDOW / 2 + 0.5
        axis.plot(rounds, curves.T, color=colour, lw=0.7, alpha=0.7)
        axis.plot(rounds, curves.mean(axis=0), color=colour, lw=2, label=f"{kind} ({len(found)} runs)")
        if kind == "one process":
            axis.fill_between(rounds, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, lw=0)
    axis.set(title=arm, xlabel="round", ylim=(0, 1))
    axis.grid(alpha=0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description="training success in one process and with every server real")
    parser.add_argument("--one-process", type=Path, nargs="+", required=True, metavar="REPORTS")
    parser.add_argument("--servers", type=Path, nargs="+", required=True, metavar="REPORTS")
    options = parser.parse_args()
    folders = dict(zip(KINDS, (options.one_process, options.servers), strict=True))
    figure, axes = plt.subplots(1, len(ARMS), figsize=(9, 3.4), sharey=True, constrained_layout=True)
    for axis, arm in zip(axes, ARMS, strict=True):
        runs = {kind: [successes(reports, arm) for reports in found] for kind, found in folders.items()}
        tell(arm, runs)
        draw(axis, arm, runs)
    axes[0].set_ylabel("success in training")
    axes[1].legend(loc="lower right")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
