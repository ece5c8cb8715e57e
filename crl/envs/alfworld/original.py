"""Reads an original ALFWorld tree (`json_2.1.1`): `train/` and `valid_unseen/`, one folder per trial.

    pick_and_place_simple-Mug-None-Desk-308/trial_T2019.../{traj_data.json, initial_state.pddl, game.tw-pddl}

As in the package's own loader, trials with movable receptacles or sliced objects and games that are not marked
solvable are passed over. Where `game.tw-pddl` is missing the game is put together from the other two files.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from crl.envs.alfworld import package
from crl.envs.alfworld.game import TASK_TYPES, Game
from crl.envs.alfworld.generate import LEVEL
from crl.envs.originals import read_json
from crl.errors import DataError
from crl.seeding import stream

_FOLDERS = {"train": "train", "eval": "valid_unseen"}
_GAME_FILE = "game.tw-pddl"
_REMEDY = "give the folder json_2.1.1 that `alfworld-download` makes, with train/ and valid_unseen/"
_PASSED_OVER = ("movable", "Sliced")
_DISTANCE = re.compile(r"\(=\s*\(distance\s[^)]*\)\s*\d+\)")  # most of the text; no action reads them
_TASK = re.compile(r"Your task is to: (.*?)\.?\"")


def read_games(source: str, split: str, level: str) -> Iterator[tuple[Path, Game]]:
    """The trials of a split in a fixed shuffled order, so that a first part holds all task types. Raises DataError."""
    folder = _split_folder(Path(source), split)
    trials = sorted(folder.rglob("traj_data.json"))
    if not trials:
        raise DataError(f"tasks source = {source!r}: no traj_data.json below {folder}. Remedy: {_REMEDY}")
    for index in stream("alfworld", "original", split).permutation(len(trials)):
        trial = trials[int(index)].parent
        game = _read_trial(trial, folder)
        if game is not None and level in (LEVEL, game.task_type):
            yield trial, game


def _split_folder(source: Path, split: str) -> Path:
    for root in (source, source / "json_2.1.1"):
        if (folder := root / _FOLDERS[split]).is_dir():
            return folder
    raise DataError(f"tasks source = {str(source)!r}: holds no folder {_FOLDERS[split]}. Remedy: {_REMEDY}")


def _read_trial(trial: Path, folder: Path) -> Game | None:
    """The game of one trial, or None when it is none that ALFWorld plays."""
    trajectory = read_json(trial / "traj_data.json", dict, _REMEDY)
    try:
        task_type, kinds = trajectory["task_type"], trajectory["pddl_params"]
        if task_type not in TASK_TYPES or kinds["object_sliced"]:
            return None
        if any(word in str(trial.relative_to(folder)) for word in _PASSED_OVER):
            return None
        file = _game_file(trial, trajectory)
        if file is None:
            return None
        said = _TASK.search(file["grammar"])
        if said is None:
            raise DataError(f"{trial / _GAME_FILE}: its grammar names no task. Remedy: {_REMEDY}")
        instruction = said.group(1)
        return Game(
            task_type,
            trajectory["scene"]["floor_plan"],
            kinds["object_target"].lower(),
            kinds["parent_target"].lower(),
            kinds["toggle_target"].lower(),
            instruction,
            _DISTANCE.sub("", file["pddl_problem"]),
            "" if file["pddl_domain"] == package.domain() else file["pddl_domain"],
            "" if file["grammar"] == package.grammar(instruction) else file["grammar"],
            tuple(file.get("walkthrough") or ()),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{trial}: lacks or misspells a field ({type(error).__name__}: {error}). Remedy: {_REMEDY}"
        ) from error


def _game_file(trial: Path, trajectory: dict) -> dict | None:
    """What the trial's game file holds, or would hold; None when the game is marked unsolvable or missing."""
    if (file := trial / _GAME_FILE).is_file():
        game = read_json(file, dict, _REMEDY)
        return game if game.get("solvable") else None
    if (file := trial / "initial_state.pddl").is_file():
        grammar = package.grammar(_instruction(trial, trajectory))
        return {"pddl_problem": file.read_text(), "pddl_domain": package.domain(), "grammar": grammar}
    return None


def _instruction(trial: Path, trajectory: dict) -> str:
    templates = package.goals()[trajectory["task_type"]]["templates"]
    template = templates[int(stream("alfworld", "instruction", trial.parent.name, trial.name).integers(len(templates)))]
    fields = {"obj": "object", "recep": "parent", "toggle": "toggle"}
    return template.format(
        **{name: trajectory["pddl_params"][f"{field}_target"].lower() for name, field in fields.items()}
    )
