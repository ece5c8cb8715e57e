"""Shared by the tests of ALFWorld: task requests, and an original tree written from generated games."""

import json
from pathlib import Path

from crl.envs.alfworld import package
from crl.envs.alfworld.game import Game
from crl.envs.family import TaskRequest
from crl.types import Task

FIRST_EVAL = 5_000_000


def request(count: int, split: str = "train", level: str = "generated", **changes) -> TaskRequest:
    first = FIRST_EVAL if split == "eval" else 0
    fields = {"max_steps": 30, "first_seed": first, "source": None} | changes
    return TaskRequest("alfworld", "alfworld", level, split, count=count, **fields)


def bare(seed: int, level: str = "generated", max_steps: int = 30) -> Task:
    """A task without payload: the env generates its game."""
    return Task(f"alfworld/train/{seed}", "alfworld", "alfworld", level, seed, max_steps)


def game_file(game: Game) -> dict:
    """As ALFWorld's own script writes `game.tw-pddl`."""
    return {
        "pddl_domain": package.domain(),
        "grammar": package.grammar(game.instruction),
        "pddl_problem": game.problem,
        "solvable": True,
        "walkthrough": ["look"],
    }


def write_trial(folder: Path, number: int, game: Game, *, tw_pddl: bool = True, **changes) -> Path:
    """One trial of an original tree; `changes` go into its game file."""
    name = f"{game.task_type}-{game.target.title()}-None-{(game.place or game.lamp).title()}-{game.scene[9:]}"
    trial = folder / name / f"trial_T2019_{number}"
    trial.mkdir(parents=True)
    kinds = {"object_target": game.target, "parent_target": game.place, "toggle_target": game.lamp}
    trajectory = {
        "task_type": game.task_type,
        "scene": {"floor_plan": game.scene},
        "pddl_params": {**kinds, "mrecep_target": "", "object_sliced": False},
    }
    (trial / "traj_data.json").write_text(json.dumps(trajectory))
    (trial / "initial_state.pddl").write_text(game.problem)
    if tw_pddl:
        (trial / "game.tw-pddl").write_text(json.dumps(game_file(game) | changes))
    return trial
