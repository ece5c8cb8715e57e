"""What the extractor learned to write: the share of each advice phrase among the texts that it distilled, by round.

    python -m benchmarks.advice [RUN]        RUN: folder of a run, default the newest in runs/co_evolve

The untrained extractor draws strategies uniformly (docs/warm_start.md), so a shift of the shares is learned; success
rates alone would not tell, since the actor improves at the same time.
"""

import argparse
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from crl.bank.ledger import Ledger
from crl.config import from_mapping
from crl.files import read_json
from crl.round.state import latest_state
from crl.tiny.scripts import script_of

ROUNDS_PER_ROW = 5


def phrases_of(run: Path) -> tuple[str, ...]:
    """What advice can say in the families that the run plays."""
    config = from_mapping(read_json(run / "run.json")["config"])
    scripts = [script_of(entry.family, entry.level) for entry in config.tasks.mix.values()]
    # Chance, which stands in for a script that a family lacks, has no fixed phrases.
    return tuple(dict.fromkeys(phrase for script in scripts if script for phrase in script.phrases.values()))


def shares(run: Path) -> dict[int, dict[str, float]]:
    """First round of each row -> phrase -> share of the texts that were distilled; one that was written twice counts twice."""
    phrases = phrases_of(run)
    texts: dict[int, list[str]] = defaultdict(list)
    ledger = Ledger.read_only(run / "bank")
    for record in ledger.records(live_only=False):
        for writing in ledger.writings(record.entry.id):
            if writing.entry_id == record.entry.id and writing.origin.purpose == "distil":
                first = writing.origin.round // ROUNDS_PER_ROW * ROUNDS_PER_ROW
                texts[first].append(record.entry.text)
    ledger.close()
    return {
        first: {"entries": float(len(rows))} | {p: sum(p in text for text in rows) / len(rows) for p in phrases}
        for first, rows in sorted(texts.items())
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path, help="folder of a run; default: the newest in runs/co_evolve")
    run = parser.parse_args().run or latest_state(Path("runs/co_evolve"))
    rows = shares(run)
    phrases = [phrase for phrase in phrases_of(run) if any(row[phrase] > 0.02 for row in rows.values())]
    table = Table("rounds", "entries", *phrases, title=f"advice written in {run.name}")
    for first, row in rows.items():
        table.add_row(
            f"{first}-{first + ROUNDS_PER_ROW - 1}", f"{row['entries']:.0f}", *(f"{row[p]:.0%}" for p in phrases)
        )
    Console().print(table)


if __name__ == "__main__":
    main()
