"""A realistic run that never happened: files like the stages', for tests and for looking at the page.

`python tests/report/synthetic.py FOLDER` renders it.
"""

import csv
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from crl.episode.transcripts import Line, Transcript
from crl.evaluation.statistics import EpisodeRow, summarise
from crl.report.inputs import (
    Parameter,
    ReportInputs,
    RunFacts,
    read_effects,
    read_evaluation,
    read_rounds,
    read_transcripts,
)
from crl.report.page import write_report
from crl.round.report import EffectRow

ROUNDS = 40
RATES = {  # task: before free, before guided, after free, after guided
    "key": (0.10, 0.11, 0.44, 0.66),
    "maze": (0.27, 0.29, 0.52, 0.61),
    "room": (0.59, 0.57, 0.83, 0.85),
    "river": (0.0, 0.0, 0.0, 0.02),
}
EXPERIENCES = (
    "Take the key first: step onto it and pick it up, then walk to the door and apply the key.",
    "Go to unvisited cells first; turn back only when all neighbours were visited.",
    "Follow the left wall in a maze until the stairs are seen.",
    "When the stairs are in sight, walk straight to them and ignore everything else.",
    "Wander without a plan.",
    "Ignore the key and search for the stairs.",
    "Prefer diagonal steps in open rooms.",
    "Return to the start when lost.",
)
OUTCOMES = ("success", "timeout", "death", "success")


def evaluation_rows(levels: int = 120) -> list[EpisodeRow]:
    draws = np.random.default_rng(5)
    cells = [("before", "free"), ("before", "guided"), ("after", "free"), ("after", "guided")]
    rows = []
    for task, rates in RATES.items():
        difficulty = draws.random(levels)  # shared by all cells, so pairs agree more often than by chance
        for (phase, arm), rate in zip(cells, rates, strict=True):
            for level in range(levels):
                success = bool(0.6 * difficulty[level] + 0.4 * draws.random() < rate)
                actions = int(draws.integers(4, 18)) if success else 24
                rows.append(EpisodeRow(task, f"{task}/eval/{level}", arm, phase, success, actions))
    return rows


def round_rows() -> list[dict[str, float]]:
    draws = np.random.default_rng(6)
    rows, size = [], 0.0
    for i in range(ROUNDS):
        progress = 1 - np.exp(-i / 14)
        added, updated, evicted = draws.integers(4, 14), draws.integers(0, 6), draws.integers(0, 4) if i > 14 else 0
        merged = draws.integers(3, 9) if i and i % 5 == 0 else 0
        size += added - evicted - merged
        free = 0.27 + 0.26 * progress + draws.normal(0, 0.05)
        row = {
            "round": i,
            "rollout/episodes": 96,
            "rollout/success_free": free,
            "rollout/reward": free + 0.03,
            "rollout/turns": 21 - 6 * progress + draws.normal(0, 0.5),
            "rollout/success_guided": free + 0.12 * progress + draws.normal(0, 0.05) if i >= 2 else float("nan"),
            "distil/valid_share": 0.86 + 0.1 * progress + draws.normal(0, 0.025),
            "bank/size": size,
            "bank/add": added,
            "bank/repeat": 2 * added,
            "bank/update": updated,
            "bank/merge": merged,
            "bank/evict": evicted,
            "actor/loss": draws.normal(0, 0.02),
            "actor/grad_norm": 0.5 + draws.gamma(2, 0.15),
            "extractor/grad_norm": 0.9 + draws.gamma(2, 0.2) if i > 4 else float("nan"),
            "extractor/loss": draws.normal(-0.1, 0.05) if i > 4 else float("nan"),
            "extractor/score_mean": 0.3 + 0.2 * progress + draws.normal(0, 0.04),
            "actor/staleness_max": float(draws.integers(0, 2)),
            "extractor/staleness_max": float(draws.integers(0, 3)),
        }
        rows.append(row)
    return rows


def effect_rows() -> list[EffectRow]:
    draws = np.random.default_rng(7)
    rows = []
    for i, text in enumerate(EXPERIENCES * 2):
        mean, half, groups = 0.55 - 0.065 * i, draws.uniform(0.08, 0.35), 1 if i == 4 else int(draws.integers(2, 40))
        low, high = max(-1, mean - half), min(1, mean + half)
        rows.append(
            EffectRow(f"{i:08x}-5f7f-4e9b", ("key", "maze", "room")[i % 3], text, mean, low, high, groups, groups * 4)
        )
    return rows


def transcripts() -> list[Transcript]:
    found = []
    for i, (phase, arm) in enumerate(
        [("before", "free"), ("before", "guided"), ("train", "guided"), ("after", "free"), ("after", "guided")] * 2
    ):
        task = ("key", "maze")[i // 5]
        lines = [Line("goal", "Reach the stairs. A locked door may be in the way.")]
        for step in range(6):
            lines.append(
                Line(
                    "observation",
                    f"north wall, east floor (visited {step}), south door, west floor.\nYou see a key to the east.",
                )
            )
            lines.append(
                Line(
                    "actor", ("move east", "pick up", "move south", "apply key south", "move south", "move south")[step]
                )
            )
        advice = EXPERIENCES[i % 4] if arm == "guided" else None
        found.append(
            Transcript(
                f"r{i}.g0.e0", task, arm, -1 if phase != "train" else 17, OUTCOMES[i % 4], advice, tuple(lines), phase
            )
        )
    return found


def run_facts() -> RunFacts:
    return RunFacts(
        lineage="9b1f03c2-51a7",
        profile="laptop",
        schedule="lockstep",
        seed=7,
        machine="Example CPU, 2 cores, 16 GB, Linux x86_64",
        versions={"python": "3.11.2", "torch": "2.13.0", "transformers": "5.23.0", "minihack": "1.0.2"},
        commands=("git checkout 3f2a91c", "make lab"),
    )


def write_files(folder: Path) -> dict[str, Path]:
    """The files of a run under `folder`, by what they hold."""
    files = {
        name: folder / file
        for name, file in (
            ("evaluation", "evaluate.json"),
            ("rounds", "rounds.csv"),
            ("effects", "effects.json"),
            ("transcripts", "transcripts.jsonl"),
        )
    }
    summary = summarise(evaluation_rows(), samples=1000, confidence=0.95, seed=7)
    files["evaluation"].write_text(json.dumps(summary.as_json()))
    rows = round_rows()
    with files["rounds"].open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows([{name: "" if value != value else value for name, value in row.items()} for row in rows])
    files["effects"].write_text(json.dumps([asdict(row) for row in effect_rows()]))
    files["transcripts"].write_text("\n".join(json.dumps(asdict(t)) for t in transcripts()))
    return files


def inputs(folder: Path) -> ReportInputs:
    parameters = (
        Parameter("run.seed", "7", "7"),
        Parameter("rounds.count", "40", "80"),
        Parameter("learn.actor.optimizer.lr", "0.0007", "0.001"),
        Parameter("tasks.mix.river.level", "MiniHack-River-Narrow-v0", None),
        Parameter("rollout.groups", "12", "12"),
    )
    files = write_files(folder)
    return ReportInputs(
        evaluation=read_evaluation(files["evaluation"]),
        rounds=read_rounds(files["rounds"]),
        run=run_facts(),
        effects=read_effects(files["effects"]),
        transcripts=read_transcripts(files["transcripts"]),
        parameters=parameters,
    )


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    write_report(inputs(target), target)
