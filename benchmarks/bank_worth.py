"""What a run's bank knows of its worth, and what retrieval made of it.

    python -m benchmarks.bank_worth [RUN]        RUN: folder of a run, default the newest in runs/co_evolve

Effects are estimated as `crl.bank.posterior` does, for each showing as of the round before it: who chose could know no more.
"""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crl.bank.effect import EntryEffect, Use
from crl.bank.ledger import Ledger
from crl.bank.posterior import Posterior, Subject, estimate
from crl.bank.records import State
from crl.config.bank import EffectConfig
from crl.round.state import latest_state

LAST_ROUNDS = 10
WINDOW = 5  # rounds per row


@dataclass(frozen=True)
class History:
    """What a ledger says, with everything by the id of the entry that has it now."""

    subjects: Sequence[Subject]
    live: Sequence[str]
    texts: Mapping[str, str]  # of all subjects, by id
    uses: Sequence[Use]
    shown: Sequence[tuple[str, int]]  # entry, round
    config: EffectConfig

    @classmethod
    def of(cls, folder: Path) -> "History":
        """Raises DataError: no ledger, or of another schema."""
        with closing(Ledger.read_only(folder)) as ledger:
            joins = ledger.joins()
            records = list(ledger.records(live_only=False))
            return cls(
                subjects=[subject for subject in ledger.subjects() if subject.id not in joins],
                live=[record.entry.id for record in records if record.state is State.LIVE],
                texts={record.entry.id: record.entry.text for record in records},
                uses=[Use(joins.get(u.entry_id, u.entry_id), *_figures(u)) for u in ledger.uses()],
                shown=[(joins.get(row.entry_id, row.entry_id), row.round) for row in ledger.shown()],
                config=ledger.effect_config,
            )

    def posterior(self, round_: int) -> Posterior:
        """After a round, from what was recorded until then."""
        known = [use for use in self.uses if use.round <= round_]
        return estimate(
            self.subjects,
            known,
            round=round_,
            half_life_rounds=self.config.half_life_rounds,
            pooling=self.config.pooling,
        )

    @property
    def per_text(self) -> float:
        """Live entries per distinct (scope, text) of theirs."""
        scopes = {subject.id: subject.scope for subject in self.subjects}
        return len(self.live) / max(1, len({(scopes[id_], self.texts[id_]) for id_ in self.live}))

    @property
    def rounds(self) -> int:
        return max((use.round for use in self.uses), default=-1) + 1


def _figures(use: Use) -> tuple[int, int, int, int, int, int]:
    return use.round, use.group, use.n_guided, use.s_guided, use.n_free, use.s_free


def harmful_share(history: History, rounds: int = LAST_ROUNDS) -> float:
    """Of the showings of the last rounds, those of entries whose interval lay below 0 before; NaN without showings."""
    first, harmful = max(0, history.rounds - rounds), []
    for round_ in range(first, history.rounds):
        effects = history.posterior(round_ - 1).effects
        shown = [id_ for id_, at in history.shown if at == round_]
        harmful += [id_ in effects and effects[id_].high < 0 for id_ in shown]
    return float(np.mean(harmful)) if harmful else float("nan")


def worth(uses: Sequence[Use]) -> float:
    """Guided minus free success, each group with a control weighing like its guided episodes; NaN without uses."""
    weights = [use.n_guided for use in uses]
    return float(np.average([use.difference for use in uses], weights=weights)) if uses else float("nan")


def several(history: History, posterior: Posterior, least: int = 8) -> dict[str, dict[str, EntryEffect]]:
    """Texts that were measured in several scopes, in at least so many groups of each: what depends on the situation."""
    found: dict[str, dict[str, EntryEffect]] = {}
    for subject in history.subjects:
        effect = posterior.effects.get(subject.id)
        if effect is not None and effect.groups >= least:
            found.setdefault(history.texts[subject.id], {})[subject.scope] = effect
    return {text: by_scope for text, by_scope in found.items() if len(by_scope) > 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path, help="folder of a run; default: the newest in runs/co_evolve")
    run = parser.parse_args().run or latest_state(Path("runs/co_evolve"))
    history = History.of(run / "bank")
    last = history.posterior(history.rounds - 1)
    known = [last.effects[id_] for id_ in history.live if id_ in last.effects]
    table = Table(show_header=False, box=None, title=f"the bank of {run.name}, {history.rounds} rounds")
    table.add_row("entries per distinct text", f"{history.per_text:.2f} ({len(history.live)} live)")
    table.add_row("measured entries", str(len(known)))
    table.add_row("whose interval excludes 0", str(sum(e.low > 0 or e.high < 0 for e in known)))
    table.add_row(f"showings of proven harm, last {LAST_ROUNDS} rounds", f"{harmful_share(history):.1%}")
    for scope, pool in last.pools.items():
        told = f"mean {pool.mean:+.2f}, entries differ by {pool.entry_sd:.2f}, clusters by {pool.cluster_sd:.2f}"
        table.add_row(f"effects in {scope}", f"{told}; noise {pool.noise:.2f}")
    for text, by_scope in several(history, last).items():
        table.add_row(escape(text), ", ".join(f"{scope} {effect}" for scope, effect in by_scope.items()))
    for first in range(0, history.rounds, WINDOW):
        uses = [use for use in history.uses if first <= use.round < first + WINDOW]
        table.add_row(f"guided minus free, rounds {first}-{first + WINDOW - 1}", f"{100 * worth(uses):+.0f} points")
    Console().print(table)


if __name__ == "__main__":
    main()
