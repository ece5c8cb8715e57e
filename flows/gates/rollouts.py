"""A round's episodes, of which advantages are made: their groups, rewards, lengths and failures."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from crl.config import Config
from crl.config.rollout import LEAST_HALF
from crl.types import Episode, EpisodeFailure
from flows.gates.rules import Suite, at_least, between, filled, mean_between, none_of, null, one_of, row_count, unique

COLUMNS = {
    **dict.fromkeys(("episode", "task"), "text"),
    **dict.fromkeys(("group", "index", "max_steps"), "integer"),
    **dict.fromkeys(("guided", "failed", "success"), "flag"),
    **dict.fromkeys(("reward", "env_steps", "turns", "tokens"), "number"),
}


def frame_of(ends: Sequence[Episode | EpisodeFailure]) -> pd.DataFrame:
    """One row per episode of a round, in order; lost ones have no reward and no lengths: absent is not zero."""
    rows = [_row(end) for end in sorted(ends, key=lambda end: end.key)]
    types = {"number": "float64", "integer": "int64", "flag": "bool"}
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({name: types[kind] for name, kind in COLUMNS.items() if kind in types})


def _row(end: Episode | EpisodeFailure) -> dict[str, Any]:
    """What all ends have, and what only an episode has."""
    row = {
        "episode": str(end.key), "task": end.task.name, "group": end.key.group, "index": end.key.index,
        "max_steps": end.task.max_steps, "guided": end.guided,
    }  # fmt: skip
    if isinstance(end, EpisodeFailure):
        return row | {"failed": True, "success": False}
    return row | {
        "failed": False, "success": end.success, "reward": end.reward, "env_steps": end.env_steps,
        "turns": len(end.turns), "tokens": _tokens(end),
    }  # fmt: skip


def _tokens(episode: Episode) -> int:
    """Of the last turn's context: each turn holds only what it added to it, and what was lost."""
    added = ((turn.completion.prompt_ids, turn.completion.token_ids, turn.dropped) for turn in episode.turns)
    return sum(len(prompt_ids) + len(token_ids) - dropped for prompt_ids, token_ids, dropped in added)


def suite(config: Config) -> Suite:
    """Of the table that `frame_of` makes of a round."""
    shape, context = config.rollout, config.models.actor.context_tokens
    groups, group_size, failed = shape.groups, shape.group_size, shape.max_failed_share
    counted = f"{groups}" if shape.most_groups == groups else f"{groups} to {shape.most_groups}"
    halves = (
        [shape.guided_per_group]
        if shape.guided_share == "fixed"
        else list(range(LEAST_HALF, group_size - LEAST_HALF + 1))
    )
    halves_in_words = f"{halves[0]}" if len(halves) == 1 else f"{halves[0]} to {halves[-1]}"
    return Suite(
        name="rollouts",
        key="episode",
        columns=COLUMNS,
        rules=(
            row_count(
                f"has {counted} groups of {group_size} episodes", groups * group_size, shape.most_groups * group_size
            ),
            *filled("episode", "task"),
            unique("episode", "no episode counts twice"),
            one_of("task", "every task is of the mix", value_set=list(config.tasks.mix)),
            one_of("group_size", f"every group has {group_size} episodes", value_set=[group_size]),
            one_of("guided_in_group", f"{halves_in_words} episodes of every group are guided", value_set=halves),
            one_of("tasks_in_group", "every group plays one task", value_set=[1]),
            mean_between("failed_share", f"at most {failed:.0%} of the episodes failed", max_value=failed),
            null("reward", "an episode that failed has no reward", where=("failed", "==", True)),
            *filled("reward", "env_steps", "turns", "tokens", where=("failed", "==", False)),
            one_of("reward", "rewards are of -1, 0, 1", value_set=[-1.0, 0.0, 1.0]),
            one_of("reward", "a success is rewarded with 1", value_set=[1.0], where=("success", "==", True)),
            none_of("reward", "nothing else is rewarded with 1", value_set=[1.0], where=("success", "==", False)),
            between("env_steps", "steps are 0 or more", min_value=0),
            at_least("turns", "env_steps", "no episode has more steps than turns"),
            at_least("max_steps", "turns", "no episode has more turns than max_steps"),
            between("tokens", f"every episode fits into the context of {context} tokens", min_value=0, max_value=context),
        ),
        remedy="this is a defect of an environment or of the rollout, not of the parameters: the last committed round is "
               "whole; mend it and run the same command, which plays this round again",
        derive=_rollout_columns,
    )  # fmt: skip


def _rollout_columns(frame: pd.DataFrame) -> dict[str, Any]:
    groups = frame.groupby("group")
    return {
        "group_size": groups["index"].transform("size"),
        "guided_in_group": groups["guided"].transform("sum").astype("int64"),
        "tasks_in_group": groups["task"].transform("nunique"),
        "failed_share": frame.failed.astype("float64"),
    }
