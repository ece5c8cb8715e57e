"""A snapshot of the experience bank, from which the next episodes are guided."""

from typing import Any

import pandas as pd

from crl.config import Config
from flows.gates.rules import Suite, between, filled, length_between, matches, one_of, unique

_FILLED = r"\S"  # a character that is not blank
_EPISODE = r"^r-?\d+\.g\d+\.e\d+$"
_NOT_GIVEN, _DISTILLED = ("purpose", "!=", "seed"), ("purpose", "==", "distil")


def suite(config: Config, round: int) -> Suite:
    """Of `round_<round>/bank.parquet`."""
    scopes = list(dict.fromkeys(map(config.bank.scope_of, config.tasks.mix)))
    longest, capacity = config.bank.max_entry_chars, config.bank.capacity
    counters = ("shown", "effect_groups", "effect_episodes")
    return Suite(
        name="bank_snapshot",
        key="id",
        columns={
            **dict.fromkeys(("id", "task", "text", "key_text", "completion_id", "episode", "purpose"), "text"),
            **dict.fromkeys(("round", "age_rank", "last_shown_round", "written", *counters), "integer"),
        },
        rules=(
            *filled("id", "task", "text", "key_text", "purpose", "completion_id", "episode"),
            unique("id", "no two entries have the same id"),
            one_of("said_before", "no two entries of a scope say the same", value_set=[False]),
            one_of("task", f"every entry is of a known scope ({', '.join(scopes)})", value_set=scopes),
            between("scope_size", f"no scope holds more than {capacity:,} entries", max_value=capacity),
            matches("text", "no text is blank", regex=_FILLED),
            length_between("text", f"no text is longer than {longest:,} characters", max_value=longest),
            matches("key_text", "no text that an entry is found by is blank", regex=_FILLED),
            one_of("purpose", "entries were distilled, merged, given or imported", value_set=["distil", "merge", "seed", "import"]),
            matches("completion_id", "what was distilled or merged leads to its completion", regex=_FILLED, where=_NOT_GIVEN),
            matches("episode", "what was distilled leads to its episode", regex=_EPISODE, where=_DISTILLED),
            between("round", f"entries are of rounds 0 to {round}, or imported before (-1)", min_value=-1, max_value=round),
            unique("age_rank", "no two entries have the same age"),
            *(between(counter, f"{counter} is 0 or more", min_value=0) for counter in counters),
            between("written", "every entry was written at least once", min_value=1),
            between("last_shown_round", f"entries were last shown in rounds up to {round}, or never (-1)",
                    min_value=-1, max_value=round),
            one_of("shown_without_round", "an entry has a round of its last showing if it was shown", value_set=[False]),
        ),
        remedy=f"the bank is damaged: `crl bank rollback --round {round - 1}`, then the same command, which plays the round again",
        derive=_bank_columns,
    )  # fmt: skip


def _bank_columns(frame: pd.DataFrame) -> dict[str, Any]:
    return {
        "said_before": frame.duplicated(["task", "text"]),
        "scope_size": frame.groupby("task")["task"].transform("size"),
        "shown_without_round": (frame.shown > 0) != (frame.last_shown_round >= 0),
    }
