"""The pass-rate table: every task tried n times before training."""

from collections.abc import Collection
from functools import partial
from itertools import pairwise
from typing import Any

import pandas as pd

from crl.config import Config
from crl.evaluation.pass_rate import KS
from flows.gates.rules import Rule, Suite, at_least, between, filled, not_null, null, one_of, row_count, unique

_EXACT = 1e-9  # rates are quotients of small integers


def suite(config: Config, tasks: Collection[str]) -> Suite:
    """Of the stage `pass_rate`, which tried the tasks of these ids."""
    attempts, costs = config.pass_rate.attempts, ("env_steps", "tokens")
    bounds = [f"pass_{k}_{side}" for k in KS for side in ("low", "high")]
    return Suite(
        name="pass_rates",
        key="task_id",
        columns={
            "task_id": "text", "name": "text", "n": "integer", "c": "integer",
            **dict.fromkeys(("rate", "rate_low", "rate_high", *(f"pass_{k}" for k in KS), *bounds), "number"),
            **dict.fromkeys(costs, "number"),
        },
        rules=(
            row_count(f"has a row for each of the {len(tasks):,} tasks", len(tasks), len(tasks)),
            *filled("task_id", "name", "rate", "rate_low", "rate_high", *costs),
            unique("task_id", "no task has two rows"),
            null("unknown_task", "every task is of the task set"),
            one_of("n", f"every task was tried {attempts} times", value_set=[attempts]),
            between("c", "successes are 0 or more", min_value=0),
            at_least("n", "c", "no task has more successes than attempts"),
            between("rate_minus_share", "rate is c / n", min_value=-_EXACT, max_value=_EXACT),
            between("pass_1_minus_rate", "pass@1 is the rate", min_value=-_EXACT, max_value=_EXACT),
            between("rate_low", "the rate's lower bound is 0 or more", min_value=0),
            between("rate_high", "the rate's upper bound is 1 or less", max_value=1 + _EXACT),
            between("rate_over_low", "the rate is not below its lower bound", min_value=-_EXACT),
            between("high_over_rate", "the rate is not above its upper bound", min_value=-_EXACT),
            *(rule for k in KS for rule in _pass_at(k, known=k <= attempts)),
            *(at_least(f"pass_{k}", f"pass_{less}", f"pass@{k} is not below pass@{less}") for less, k in pairwise(KS)),
            *(between(cost, f"{cost} are 0 or more", min_value=0) for cost in costs),
        ),
        remedy="delete runs/pass_rate and run the stage pass_rate again; if attempts are missing, mend what lost them first",
        derive=partial(_pass_rate_columns, tasks=frozenset(tasks)),
    )  # fmt: skip


def _pass_at(k: int, *, known: bool) -> tuple[Rule, ...]:
    low, high = f"pass_{k}_low", f"pass_{k}_high"
    return (
        between(f"pass_{k}", f"pass@{k} is a probability", min_value=0, max_value=1),
        between(low, f"the lower bound of pass@{k} is a probability", min_value=0, max_value=1),
        between(high, f"the upper bound of pass@{k} is a probability", min_value=0, max_value=1),
        at_least(high, low, f"the bounds of pass@{k} are in order"),
        *([not_null(f"pass_{k}", f"every task has a pass@{k}")] if known else []),
    )


def _pass_rate_columns(frame: pd.DataFrame, tasks: frozenset[str]) -> dict[str, Any]:
    return {
        "unknown_task": frame.task_id.where(frame.task_id.notna() & ~frame.task_id.isin(tasks), None),
        "rate_minus_share": frame.rate - frame.c / frame.n,
        "pass_1_minus_rate": frame.pass_1 - frame.rate,
        "rate_over_low": frame.rate - frame.rate_low,
        "high_over_rate": frame.rate_high - frame.rate,
    }
