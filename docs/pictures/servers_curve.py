"""Draws training success of the same profile in one process and with every server real.

    python docs/pictures/servers_curve.py EMBEDDED_REPORTS SERVERS_REPORTS

The folders are `runs/co_evolve/<lineage>/reports` of two runs of the profile `servers`, see docs/servers.md. Lines are means over
five rounds; the band is what chance alone gives the mean of so many episodes, around the embedded run (95 %, binomial).
"""

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


def curve(reports: Path, arm: str) -> tuple[np.ndarray, np.ndarray]:
    """(round, success) of the rounds that played the arm, as running means."""
    rows = [json.loads(file.read_text()) for file in sorted(reports.glob("round_*.json"))]
    played = [(row["round"], row["metrics"].get(f"rollout/success_{arm}")) for row in rows]
    rounds, success = np.array([pair for pair in played if pair[1] is not None], float).T
    kernel = np.ones(WINDOW) / WINDOW
    return np.convolve(rounds, kernel, "valid"), np.convolve(success, kernel, "valid")


def main(embedded: Path, servers: Path) -> None:
    figure, axes = plt.subplots(1, len(ARMS), figsize=(9, 3.4), sharey=True, constrained_layout=True)
    for axis, arm in zip(axes, ARMS, strict=True):
        rounds, mean = curve(embedded, arm)
        margin = 1.96 * np.sqrt(mean * (1 - mean) / (WINDOW * EPISODES))
        axis.fill_between(rounds, mean - margin, mean + margin, color="C0", alpha=0.2, lw=0)
        axis.plot(rounds, mean, color="C0", label="one process")
        axis.plot(*curve(servers, arm), color="C1", label="all servers")
        axis.set(title=arm, xlabel="round", ylim=(0, 1))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("success in training")
    axes[1].legend(loc="lower right")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
