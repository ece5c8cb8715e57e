"""Raw results as a study leaves them, with known curves."""

import numpy as np
import pandas as pd

from crl.study.definition import Study
from crl.study.results import COLUMNS

STUDY = Study.model_validate(
    {
        "name": "made_up", "profile": "quick", "seeds": [1, 2, 3, 4], "every_rounds": 10, "level": 0.5, "reference": "plain",
        "arms": {"plain": [], "better": ["retrieval.k=2"], "late": ["retrieval.k=3"]},
        "aims": [
            {"arm": "better", "against": "plain", "metric": "half_with", "at_least": 0.1},
            {"arm": "better", "against": "plain", "metric": "end_without", "kind": "not_less"},
            {"arm": "plain", "against": "better", "metric": "area_with"},
            {"arm": "late", "against": "plain", "metric": "end_with"},
        ],
    }
)  # fmt: skip
LEVELS = 100


def results(arms: tuple[str, ...] = ("plain", "better"), seeds: tuple[int, ...] = (1, 2, 3, 4)) -> pd.DataFrame:
    """`better` is 0.2 above `plain` with experience and equal without; both rise from 0.2, each seed at its own height."""
    rows = []
    for arm in arms:
        for seed in seeds:
            for rounds in (0, 10, 20):
                base = 0.2 + 0.02 * rounds + 0.01 * seed * (rounds > 0)
                for task in ("maze", "room"):
                    for experience in (False, True):
                        rate = base + 0.2 * (arm == "better" and experience and rounds > 0)
                        steps = 100 * rounds + 10 * seed * (rounds > 0)
                        head = ("made_up", arm, seed, rounds, steps, "panel", "params", "code", task, experience)
                        rows.append((*head, LEVELS, LEVELS, round(rate * LEVELS), 1000))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sample(frac=1, random_state=np.random.default_rng(0).bit_generator)
