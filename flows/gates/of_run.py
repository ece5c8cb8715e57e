"""The suites of a run: counts and bounds from its parameters."""

from collections.abc import Collection, Sequence
from pathlib import Path

from crl.config import Config
from crl.tasks.sets import SPLITS, request
from flows.gates import bank_snapshots, pass_rates, rollouts, task_sets
from flows.gates.rules import Suite


def task_set_suite(config: Config, name: str, split: str, folder: Path) -> Suite:
    """Of `folder/<name>/<split>.parquet`: at most as many as asked for, and nothing in common with the other split of any
    entry of the same family, as far as those tables are there."""
    mix = config.tasks.mix
    entry = mix[name]
    [other] = set(SPLITS) - {split}
    relatives = {
        f"{key}/{other}": folder / key / f"{other}.parquet" for key, of in mix.items() if of.family == entry.family
    }
    return task_sets.suite(
        name=name,
        split=split,
        family=entry.family,
        level=entry.level,
        rows=(1, request(config, name, split).count),
        difficulty=(entry.min_difficulty, entry.max_difficulty),
        apart_from={key: file for key, file in relatives.items() if file.is_file()},
    )


def pass_rate_suite(config: Config, tasks: Collection[str]) -> Suite:
    """Of the stage `pass_rate`, which tried the tasks of these ids."""
    return pass_rates.suite(attempts=config.pass_rate.attempts, tasks=tasks)


def rollout_suite(config: Config) -> Suite:
    """Of a round's episodes, as `rollouts.frame_of` tells them."""
    rollout = config.rollout
    return rollouts.suite(
        groups=rollout.groups,
        group_size=rollout.group_size,
        free_per_group=rollout.free_per_group,
        tasks=tuple(config.tasks.mix),
        context_tokens=config.models.actor.context_tokens,
        max_failed_share=rollout.max_failed_share,
    )


def snapshot_suite(config: Config, round: int) -> Suite:
    """Of `round_<round>/bank.parquet`."""
    from crl.bank.bank import SHARED_SCOPE  # 2 s: it imports torch, which the stages before co_evolve need not

    scopes: Sequence[str] = tuple(config.tasks.mix) if config.bank.scope == "task" else (SHARED_SCOPE,)
    return bank_snapshots.suite(
        round=round, scopes=scopes, max_entry_chars=config.bank.max_entry_chars, capacity=config.bank.capacity
    )
