"""Draws training success of the same profile in one process and with every server real.

    python docs/pictures/servers_curve.py --one-process REPORTS ... --servers REPORTS ...

The folders are `runs/co_evolve/<lineage>/reports` of runs of the profile `servers`, one per seed, see docs/servers.md. Lines
are means over five rounds, thin ones of each run, thick ones of all; the band is what chance alone gives one run's mean
of so many episodes, around the mean in one process (95 %, binomial). Prints the means over thirds of the run.
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

WINDOW = 5  # rounds
EPISODES = 48  # of each arm in a round
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


def draw(axis: plt.Axes, arm: str, runs: dict[str, list[np.ndarray]]) -> None:
    for (kind, colour), found in zip(KINDS.items(), runs.values(), strict=True):
        for one in found:
            axis.plot(np.arange(len(smoothed(one))) + WINDOW / 2 + 0.5, smoothed(one), color=colour, lw=0.7, alpha=0.7)
            thirds = ", ".join(f"{part.mean():.3f}" for part in np.array_split(one, 3))
            sys.stdout.write(f"{arm}, {kind}: {thirds}; together {one.mean():.3f}\n")
        mean = smoothed(np.mean(found, axis=0))
        rounds = np.arange(len(mean)) + WINDOW / 2 + 0.5
        axis.plot(rounds, mean, color=colour, lw=2, label=f"{kind} ({len(found)} runs)")
        if kind == "one process":
            margin = 1.96 * np.sqrt(mean * (1 - mean) / (WINDOW * EPISODES))
            axis.fill_between(rounds, mean - margin, mean + margin, color=colour, alpha=0.15, lw=0)
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
        draw(axis, arm, {kind: [successes(reports, arm) for reports in found] for kind, found in folders.items()})
    axes[0].set_ylabel("success in training")
    axes[1].legend(loc="lower right")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
