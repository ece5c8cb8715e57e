"""Every rule of every gate passes good data and refuses the one defect that it is there for."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest

from crl.bank.snapshot import table_of, write_table
from crl.config import Config
from flows.gates import GateFailed, Gates, Suite, bank_snapshots, pass_rates, rollouts, task_sets
from tests.flows import gated_data as good

Spoil = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Kind:
    """A kind of data set: good data, their suite, the columns that its derived columns need, a defect for each rule."""

    frame: pd.DataFrame
    suite: Suite
    needed: tuple[str, ...]
    defects: dict[str, Spoil]


def put(column: str, value: object, row: int = 2) -> Spoil:
    """One cell of another value."""

    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame[column].tolist()
        values[row] = value
        whole = frame[column].dtype if value is not None and not isinstance(value, str) else object
        return frame.assign(**{column: pd.Series(values, dtype=whole)})

    return spoil


def both(*spoils: Spoil) -> Spoil:
    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        for each in spoils:
            frame = each(frame)
        return frame

    return spoil


def missing(column: str) -> Spoil:
    return put(column, None)


NAN = float("nan")
TASK_DEFECTS = {
    "has 1 to 20 rows": lambda frame: frame.iloc[:0],
    "every row has id": missing("id"),
    "no two tasks have the same id": put("id", "push/train/1"),
    "every task belongs to the entry push": put("name", "pull"),
    "every row has name": missing("name"),
    "every task is played by sokoban": put("family", "minihack"),
    "every row has family": missing("family"),
    f"every task is of the level {good.LEVEL}": put("level", "Sokoban-8x8-3"),
    "every row has level": missing("level"),
    "every task is of the split train": put("split", "eval"),
    "every row has split": missing("split"),
    "seeds are 0 or more": put("seed", -1),
    "every task gives at least one step": put("max_steps", 0),
    "every row has payload": missing("payload"),
    "no two tasks are the same (level, seed, payload)": both(put("seed", 1), put("payload", "map 1")),
    "every row has goal": missing("goal"),
    "no goal is empty": put("goal", " \n"),
    "difficulty is at least 2 and at most 30": put("difficulty", 31.0),
    "every task has a difficulty, since it is bounded": put("difficulty", NAN),
    "no id is also in push/eval": put("id", "push/eval/4"),
    "no (level, seed, payload) is also in push/eval": both(put("seed", 5_004), put("payload", "map 5004")),
    "no payload is also in push/eval": put("payload", "map 5004"),
}
PASS_DEFECTS = {
    "has a row for each of the 17 tasks": lambda frame: frame.iloc[:-1],
    "every row has task_id": missing("task_id"),
    "no task has two rows": put("task_id", "push/train/1"),
    "every task is of the task set": put("task_id", "push/train/99"),
    "every row has name": missing("name"),
    "every task was tried 16 times": put("n", 15),
    "successes are 0 or more": put("c", -1),
    "no task has more successes than attempts": put("c", 17),
    "every row has rate": put("rate", NAN),
    "rate is c / n": put("rate", 0.2),
    "pass@1 is the rate": put("pass_1", 0.2),
    "every row has rate_low": put("rate_low", NAN),
    "every row has rate_high": put("rate_high", NAN),
    "the rate's lower bound is 0 or more": put("rate_low", -0.1),
    "the rate's upper bound is 1 or less": put("rate_high", 1.1),
    "the rate is not below its lower bound": put("rate_low", 0.9),
    "the rate is not above its upper bound": put("rate_high", 0.1),
}
for _k, _less in ((1, 0), (2, 1), (4, 2), (8, 4), (16, 8)):
    PASS_DEFECTS |= {
        f"pass@{_k} is a probability": put(f"pass_{_k}", 1.5),
        f"the lower bound of pass@{_k} is a probability": put(f"pass_{_k}_low", -0.5),
        f"the upper bound of pass@{_k} is a probability": put(f"pass_{_k}_high", 1.5),
        f"the bounds of pass@{_k} are in order": put(
            f"pass_{_k}_low", 1.0, row=0
        ),  # no success: the upper bound is below 1
        f"every task has a pass@{_k}": put(f"pass_{_k}", NAN),
    }
    if _less:
        PASS_DEFECTS[f"pass@{_k} is not below pass@{_less}"] = put(f"pass_{_k}", 0.01)
for _cost, _below in (("env_steps", -1), ("tokens", -1)):
    PASS_DEFECTS[f"every row has {_cost}"] = lambda frame, c=_cost: frame.assign(
        **{c: frame[c].where(frame.index != 2)}
    )
    PASS_DEFECTS[f"{_cost} are 0 or more"] = put(_cost, _below)
ROLLOUT_DEFECTS = {
    "has 4 groups of 4 episodes": lambda frame: frame.iloc[:-4],
    "no episode counts twice": put("episode", "r3.g0.e0"),
    "every row has episode": missing("episode"),
    "every task is of the mix": put("task", "pull"),
    "every row has task": missing("task"),
    "every group has 4 episodes": put("group", 1),
    "2 episodes of every group are guided": put("guided", False),
    "every group plays one task": put("task", "room"),
    "at most 10% of the episodes failed": put("failed", True),
    "an episode that failed has no reward": put("reward", 0.0, row=1),
    "every row with failed == False has reward": put("reward", NAN),
    "rewards are of -1, 0, 1": put("reward", 0.5, row=3),
    "a success is rewarded with 1": put("reward", 0.0),
    "nothing else is rewarded with 1": put("reward", 1.0, row=3),
    "every row with failed == False has env_steps": put("env_steps", NAN),
    "every row with failed == False has turns": put("turns", NAN),
    "every row with failed == False has tokens": put("tokens", NAN),
    "steps are 0 or more": put("env_steps", -1.0),
    "no episode has more steps than turns": put("env_steps", 3.0),
    "no episode has more turns than max_steps": put("turns", 31.0),
    "every episode fits into the context of 64 tokens": put("tokens", 65.0),
}
BANK_DEFECTS = {
    "every row has id": missing("id"),
    "no two entries have the same id": put("id", "a"),
    "no two entries of a scope say the same": put("text", "never push a box into corner b"),
    "every entry is of a known scope (push, room)": put("task", "pull"),
    "every row has task": missing("task"),
    "no scope holds more than 8 entries": lambda frame: pd.concat([frame, frame.iloc[:1]]),
    "every row has text": missing("text"),
    "no text is blank": put("text", "  "),
    "no text is longer than 64 characters": put("text", "x" * 65),
    "every row has key_text": missing("key_text"),
    "no text that an entry is found by is blank": put("key_text", ""),
    "every row has purpose": missing("purpose"),
    "entries were distilled, merged, given or imported": put("purpose", "found"),
    "what was distilled or merged leads to its completion": put("completion_id", ""),
    "every row has completion_id": missing("completion_id"),
    "what was distilled leads to its episode": put("episode", "", row=1),
    "every row has episode": missing("episode"),
    "entries are of rounds 0 to 2, or imported before (-1)": put("round", 3),
    "no two entries have the same age": put("age_rank", 0),
    "every entry was written at least once": put("written", 0),
    "shown is 0 or more": put("shown", -1),
    "effect_groups is 0 or more": put("effect_groups", -1),
    "effect_episodes is 0 or more": put("effect_episodes", -1),
    "entries were last shown in rounds up to 2, or never (-1)": put("last_shown_round", 3),
    "an entry has a round of its last showing if it was shown": put("shown", 1),
}


@pytest.fixture(scope="module")
def config() -> Config:
    push = {"train_levels": 20, "min_difficulty": 2, "max_difficulty": 30}
    made = good.config({"push": push, "room": {"family": "minihack"}}, max_entry_chars=64, capacity=8)
    actor = made.models.actor.model_copy(update={"context_tokens": 64})
    return made.model_copy(update={"models": made.models.model_copy(update={"actor": actor})})


@pytest.fixture(scope="module")
def of_kind(config: Config, tmp_path_factory) -> dict[str, Kind]:
    folder = tmp_path_factory.mktemp("data")
    good.task_file(folder, "eval", first=5_000)
    table = good.pass_rate_table()
    rates = ("task_id", "rate", "c", "n", "pass_1", "rate_low", "rate_high")
    return {
        "task set": Kind(
            pd.DataFrame(good.tasks("train")), task_sets.suite(config, "push", "train", folder),
            ("level", "seed", "payload", "id"), TASK_DEFECTS,
        ),
        "pass rates": Kind(table, pass_rates.suite(config, list(table.task_id)), rates, PASS_DEFECTS),
        "rollouts": Kind(
            rollouts.frame_of(good.ends()), rollouts.suite(config),
            ("group", "index", "guided", "task", "failed", "success"), ROLLOUT_DEFECTS,
        ),
        "bank snapshot": Kind(
            pd.read_parquet(good.snapshot(folder)), bank_snapshots.suite(config, 2),
            ("task", "text", "shown", "last_shown_round", "purpose"), BANK_DEFECTS,
        ),
    }  # fmt: skip


ALL = {"task set": TASK_DEFECTS, "pass rates": PASS_DEFECTS, "rollouts": ROLLOUT_DEFECTS, "bank snapshot": BANK_DEFECTS}


class Undrawn(Gates):
    """Draws no pages, which takes longer than the rules do; `test_gates` looks at pages."""

    def publish(self) -> dict[tuple[str, str], Path]:
        return defaultdict(lambda: Path("page.html"))


@pytest.fixture(scope="module")
def gate(tmp_path_factory) -> Gates:
    return Undrawn(tmp_path_factory.mktemp("docs"))


@pytest.mark.parametrize("kind", ALL)
def test_good_data_pass_the_whole_suite(kind: str, of_kind, gate: Gates) -> None:
    result = gate.check(of_kind[kind].frame, of_kind[kind].suite)
    assert (result.rows, result.rules) == (len(of_kind[kind].frame), len(of_kind[kind].suite.rules))


@pytest.mark.parametrize("kind", ALL)
def test_every_rule_has_a_defect_below(kind: str, of_kind) -> None:
    assert [rule.says for rule in of_kind[kind].suite.rules] == list(
        dict.fromkeys(r.says for r in of_kind[kind].suite.rules)
    )
    assert {rule.says for rule in of_kind[kind].suite.rules} == set(of_kind[kind].defects)


@pytest.mark.parametrize(("kind", "says"), [(kind, says) for kind, defects in ALL.items() for says in defects])
def test_a_rule_refuses_its_defect_and_names_it(kind: str, says: str, of_kind, gate: Gates) -> None:
    of = of_kind[kind]
    [rule] = [rule for rule in of.suite.rules if rule.says == says]
    needed = {*of.needed, rule.args.get("column"), rule.args.get("column_A"), rule.args.get("column_B"), of.suite.key}
    alone = replace(
        of.suite, rules=(rule,), columns={name: of.suite.columns[name] for name in of.suite.columns if name in needed}
    )
    with pytest.raises(GateFailed, match=r"1 of \d+ rules") as failed:
        gate.check(of.defects[says](of.frame), alone)
    [broken] = failed.value.broken
    assert broken.startswith(f"{says}: ")
    assert says in str(failed.value)


@pytest.mark.parametrize("kind", ALL)
def test_a_missing_column_is_all_that_is_said(kind: str, of_kind, gate: Gates) -> None:
    of = of_kind[kind]
    column = list(of.suite.columns)[-1]
    with pytest.raises(GateFailed, match=f"without {column}") as failed:
        gate.check(of.frame.drop(columns=column), of.suite)
    assert len(failed.value.broken) == 1


@pytest.mark.parametrize("kind", ALL)
def test_every_column_of_a_wrong_type_is_named(kind: str, of_kind, gate: Gates) -> None:
    of = of_kind[kind]
    wrong = {"text": 7, "integer": 0.5, "number": "many", "flag": 1}
    spoilt = of.frame.assign(**{column: wrong[kind_] for column, kind_ in of.suite.columns.items()})
    with pytest.raises(GateFailed) as failed:
        gate.check(spoilt, of.suite)
    assert [broken.partition(" is of type ")[0] for broken in failed.value.broken] == list(of.suite.columns)


def test_a_missing_integer_is_a_wrong_type(of_kind, gate: Gates) -> None:
    of = of_kind["task set"]
    with pytest.raises(GateFailed, match="max_steps is of type integer"):
        gate.check(put("max_steps", NAN)(of.frame.astype({"max_steps": float})), of.suite)


def test_the_tables_of_an_empty_run_pass(config: Config, gate: Gates) -> None:
    gate.check(pd.DataFrame(columns=good.COLUMNS), pass_rates.suite(config, ()))


def test_the_bank_before_its_first_entry_passes(config: Config, tmp_path, gate: Gates) -> None:
    write_table(table_of([], good.Nothing(), "minilm"), tmp_path / "bank.parquet")
    gate.check(tmp_path / "bank.parquet", bank_snapshots.suite(config, 0))


def test_pass_at_k_beyond_the_attempts_may_be_unknown(config: Config, gate: Gates) -> None:
    config = config.model_copy(update={"pass_rate": config.pass_rate.model_copy(update={"attempts": 8})})
    tried = good.tasks("train", 9)
    attempts = {
        task.id: [good.Attempt(task.id, i, i < c, 5, 40, 0.5) for i in range(8)] for c, task in enumerate(tried)
    }
    table = pd.DataFrame(good.table(tried, attempts), columns=good.COLUMNS)
    assert table.pass_16.isna().all()
    gate.check(table, pass_rates.suite(config, [task.id for task in tried]))
