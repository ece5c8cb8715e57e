"""Draws what a run of the profile `smol` learned: success of each round's episodes, and on held-out levels before and after.

    python docs/pictures/smol_curve.py CHECKOUT        writes smol_curve.png beside this file

The checkout is one in which `python -m flows.run --profile smol` has ended (docs/pretrained.md): `plots/rounds.csv` and
`metrics/evaluate.json` are read. Whiskers: 95 % intervals over levels.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd

ARMS = {"free": "without experience", "guided": "with experience"}
COLOURS = {"free": "#2a69ac", "guided": "#c05f1c"}  # the report's


def main() -> None:
    folder = Path(sys.argv[1])
    rounds = pd.read_csv(folder / "plots/rounds.csv")
    cells = json.loads((folder / "metrics/evaluate.json").read_text())
    figure, (training, held_out) = plt.subplots(
        1, 2, figsize=(9, 3.2), sharey=True, width_ratios=[3, 1], constrained_layout=True
    )
    for shift, (arm, told) in enumerate(ARMS.items()):
        training.plot(
            rounds["round"], rounds[f"rollout/success_{arm}"], color=COLOURS[arm], marker="o", ms=3, label=told
        )
        for at, phase in enumerate(("before", "after")):
            cell = cells[phase][arm]["all"]
            low, mid, high = (cell[name] for name in ("success_low", "success", "success_high"))
            held_out.errorbar(
                at + 0.16 * shift - 0.08, mid, [[mid - low], [high - mid]], color=COLOURS[arm], marker="o", capsize=3
            )
    training.set(title="episodes of training", xlabel="round", ylabel="success", ylim=(-0.03, 1.03))
    training.legend(loc="lower right")
    held_out.set(title="held-out levels", xticks=[0, 1], xticklabels=["before", "after"], xlim=(-0.5, 1.5))
    for axis in (training, held_out):
        axis.grid(alpha=0.3)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
