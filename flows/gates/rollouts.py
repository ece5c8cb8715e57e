"""A round's episodes, of which advantages are made: their groups, rewards, lengths and failures."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from crl.types import Episode, EpisodeFailure
from flows.gates.rules import Suite, at_least, between, mean_at_most, none_of, not_null, null, one_of, row_count, unique

COLUMNS = {
    **dict.fromkeys(("episode", "task"), "text"),
    **dict.fromkeys(("group", "index", "max_steps"), "integer"),
    **dict.fromkeys(("guided", "failed", "success"), "flag"),
    **dict.fromkeys(("reward", "env_steps", "turns", "tokens"), "number"),
}


def frame_of(ends: Sequence[Episode | EpisodeFailure], free_per_group: int) -> pd.DataFrame:
    """One row per episode of a round, in order; lost ones have no reward and no lengths: absent is not zero."""
    ordered = sorted(ends, key=lambda end: end.key)
    played = [end if isinstance(end, Episode) else None for end in ordered]
    pairs = list(zip(ordered, played, strict=True))
    columns = {
        "episode": [str(end.key) for end in ordered],
        "task": [end.task.name for end in ordered],
        "group": [end.key.group for end in ordered],
        "index": [end.key.index for end in ordered],
        # A failure does not say who was guided: its position does (decided before anything is played).
        "guided": [one.guided if one else end.key.index >= free_per_group for end, one in pairs],
        "failed": [one is None for one in played],
        "success": [one is not None and one.success for one in played],
        "reward": [one and float(one.reward) for one in played],
        "env_steps": [one and float(one.env_steps) for one in played],
        "turns": [one and float(len(one.turns)) for one in played],
        "max_steps": [end.task.max_steps for end in ordered],
        "tokens": [one and float(_tokens(one)) for one in played],
    }
    types = {"number": "float64", "integer": "int64", "flag": "bool"}
    return pd.DataFrame(columns).astype({name: types[kind] for name, kind in COLUMNS.items() if kind in types})


def _tokens(episode: Episode) -> int:
    """Of the whole context: each turn holds only what it added to it."""
    return sum(len(turn.completion.prompt_ids) + len(turn.completion.token_ids) for turn in episode.turns)


def suite(
    *,
    groups: int,
    group_size: int,
    free_per_group: int,
    tasks: Sequence[str],
    context_tokens: int,
    max_failed_share: float,
    rewards: Sequence[float] = (-1.0, 0.0, 1.0),
) -> Suite:
    """Of the table that `frame_of` makes of a round with these parameters."""
    guided = group_size - free_per_group
    return Suite(
        name="rollouts",
        key="episode",
        columns=COLUMNS,
        rules=(
            row_count(f"has {groups} groups of {group_size} episodes", groups * group_size, groups * group_size),
            unique("episode", "no episode counts twice"),
            not_null("episode", "every episode has its key"),
            one_of("task", "every task is of the mix", list(tasks)),
            not_null("task", "every episode names its task"),
            one_of("group_size", f"every group has {group_size} episodes", [group_size]),
            one_of("guided_in_group", f"{guided} episodes of every group are guided", [guided]),
            one_of("tasks_in_group", "every group plays one task", [1]),
            mean_at_most("failed_share", f"at most {max_failed_share:.0%} of the episodes failed", max_failed_share),
            null("reward", "an episode that failed has no reward", ("failed", "==", True)),
            not_null("reward", "every episode that was played has a reward", ("failed", "==", False)),
            one_of("reward", f"rewards are of {', '.join(f'{reward:g}' for reward in rewards)}", list(rewards)),
            one_of("reward", "a success is rewarded with 1", [1.0], ("success", "==", True)),
            none_of("reward", "nothing else is rewarded with 1", [1.0], ("success", "==", False)),
            *(not_null(column, f"every episode that was played has {column}", ("failed", "==", False))
              for column in ("env_steps", "turns", "tokens")),
            between("env_steps", "steps are 0 or more", 0),
            at_least("turns", "env_steps", "no episode has more steps than turns"),
            at_least("max_steps", "turns", "no episode has more turns than max_steps"),
            between("tokens", f"every episode fits into the context of {context_tokens} tokens", 0, context_tokens),
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
