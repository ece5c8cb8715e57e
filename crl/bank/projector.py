"""A projection of the ledger: what a run's bank holds, on a server, for those who have no ledger.

The run itself never reads the server. A thread follows the ledger by event number: whatever the events since its last
look touched is written as it is now, and how far that reaches is noted on the server itself ("SEEN>AIM" while it is written,
then "AIM"; each names an event, see `Ledger.mark`). So repair is catching up
from what the server says it has seen. Where that is no part of this ledger's history (the ledger was rolled back, the
server is new, or it was restored from a backup), everything is compared once.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from crl.bank.ledger import Ledger
from crl.bank.records import Record
from crl.bank.stores import Item, Sink, VectorStore, open_store, store_class
from crl.config import Config

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.2  # at the number of the ledger's last event: microseconds when nothing happened
LAST_LOOK_S = 30.0  # longest wait for the server at a run's end; what it then lacks, the next start writes


class Differences(NamedTuple):
    """How many entries of a server differ from the ledger's; after a repair, what was done."""

    missing: int = 0
    changed: int = 0
    surplus: int = 0

    @property
    def total(self) -> int:
        return sum(self)


class Projection:
    """A run's ledger and the server that should hold what it holds. Used by one thread at a time."""

    def __init__(self, ledger: Ledger, sink: Sink, families: Mapping[str, str]) -> None:
        """`families` names the environment family of each task."""
        self._ledger, self._sink, self._families = ledger, sink, families
        self._noted: str | None = None  # None: the server was not asked yet

    def differences(self) -> Differences:
        """Compare everything, write nothing."""
        return self._compared()[0]

    def repair(self) -> Differences:
        """Compare everything and make the server hold what the ledger holds."""
        found, items, surplus, mark = self._compared()
        # From no known state: one that breaks off is made again, for what lies on the server now may stand in no event.
        self._noted = ""
        self._write(items, surplus, mark)
        return found

    def catch_up(self) -> Differences:
        """Write what happened since the last time. Differences are found only where everything has to be compared."""
        if self._noted is None:
            self._noted = self._sink.mark()
        since, *begun = self._noted.split(">")
        with self._ledger.reading():
            mark = self._ledger.mark(self._ledger.position)
            if mark == self._noted:
                return Differences()
            follows = all(named == self._ledger.mark(_number(named)) for named in (since, *begun))
            if follows:
                touched = self._ledger.touched_after(_number(since))
                items = list(self._items(self._ledger.records(ids=touched)))
        if not follows:
            return self.repair()
        self._write(items, sorted(set(touched) - {item.record.entry.id for item in items}), mark)
        return Differences()

    def behind(self) -> int:
        """How many events the server has not seen; all of them where that is unknown."""
        return max(0, self._ledger.position - _number(self._noted or ""))

    def _write(self, items: Sequence[Item], gone: Sequence[str], mark: str) -> None:
        # Told beforehand: if this breaks off and the ledger is rolled back, what was half written is found out.
        self._sink.note(f"{(self._noted or '').partition('>')[0]}>{mark}")
        self._sink.put(items)
        self._sink.delete(gone)
        self._sink.note(mark)
        self._noted = mark

    def _compared(self) -> tuple[Differences, list[Item], list[str], str]:
        """The differences, what to write, what to delete, and the mark of the state that was compared."""
        stored, stale, missing = self._sink.stored(), [], 0
        with self._ledger.reading():
            mark = self._ledger.mark(self._ledger.position)
            for item in self._items(self._ledger.records()):
                found = stored.pop(item.record.entry.id, None)
                missing += found is None
                if found != item.digest:
                    stale.append(item)
        return Differences(missing, len(stale) - missing, len(stored)), stale, sorted(stored), mark

    def _items(self, records: Iterator[Record]) -> Iterator[Item]:
        return (Item(record, self._families.get(record.entry.task, "")) for record in records)


class Projector:
    """A thread that keeps a server up to date beside a run. A lost server costs the run nothing: it catches up later."""

    def __init__(self, folder: Path, store: VectorStore, families: Mapping[str, str]) -> None:
        """Connect now, and follow the ledger in `folder` from now on; `families`: environment family by task name.

        One of the store's faults means that the server is lost; everything else is a mistake of ours, which `metrics` raises.
        """
        self._store, self._families = store, families
        with ExitStack() as opened:
            self._sink: Sink | None = store.sink()
            opened.callback(self._sink.close)
            self._ledger = Ledger.read_only(folder)
            opened.pop_all()
        self._projection = Projection(self._ledger, self._sink, families)
        self._tally: Counter[str] = Counter()  # since `metrics` last asked
        self._behind, self._lost_at_s, self._told = 0, 0.0, ""
        self._mistake: Exception | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="bank-projector", daemon=True)
        self._thread.start()

    @property
    def serving(self) -> bool:
        """Whether the server answered last time."""
        return self._sink is not None

    def metrics(self) -> dict[str, float]:
        """Where the server stands, and what happened since the last call."""
        if self._mistake is not None:
            raise self._mistake
        tally, self._tally = self._tally, Counter()
        rows = {"down": not self.serving, "behind": self._behind} | {
            name: tally[name] for name in ("s", "lost", "repaired")
        }
        return {f"bank/index_{name}": float(value) for name, value in rows.items()}

    def close(self) -> None:
        """Write what the server still lacks, unless it is lost, and let go of it."""
        self._closing.set()
        self._thread.join(LAST_LOOK_S)

    def _follow(self) -> None:
        try:
            while not self._closing.wait(LOOK_EVERY_S if self.serving else self._store.retry_s):
                self._look()
            if self.serving:
                self._look()
        except Exception as mistake:
            log.exception("the bank's projector stopped")
            self._mistake = mistake
        finally:
            if self._sink is not None:
                self._sink.close()
            self._ledger.close()

    def _look(self) -> None:
        """Catch up; lose the server, or find it again."""
        began, was_lost = time.perf_counter(), self._sink is None
        try:
            sink = self._store.sink() if self._sink is None else self._sink
            if was_lost:
                self._sink, self._projection = sink, Projection(self._ledger, sink, self._families)
            repaired = self._projection.catch_up().total
        except self._store.faults as error:
            self._lose(error, was_lost)
        else:
            self._tally["repaired"] += repaired
            if was_lost:
                log.warning("the bank's server is back and up to date, lost for %.1f s", began - self._lost_at_s)
        self._tally["s"] += time.perf_counter() - began
        self._behind = self._projection.behind()

    def _lose(self, error: Exception, was_lost: bool) -> None:
        if self._sink is not None:
            self._sink.close()
            self._sink = None
        if not was_lost:
            self._tally["lost"] += 1
            self._lost_at_s, self._told = time.perf_counter(), ""
        if (reason := " ".join(str(error).split())[:300]) != self._told:
            self._told = reason
            log.warning(
                "the bank's server is lost: %s. The run goes on without it; tried again every %g s",
                reason, self._store.retry_s,
            )  # fmt: skip


def projector_of(config: Config, run_id: str) -> Callable[[Path], Projector] | None:
    """What starts the projector of a run on its bank's folder; None where there is nothing to write to."""

    def follow(folder: Path) -> Projector:
        kept = folder / config.bank.index.replace(":", ".")
        store = open_store(config.bank, config.servers, run_id=run_id, folder=kept)
        return Projector(folder, store, families_of(config))

    return follow if store_class(config.bank.index).remote else None


def families_of(config: Config) -> dict[str, str]:
    """Environment family by task name."""
    return {name: entry.family for name, entry in config.tasks.mix.items()}


def _number(mark: str) -> int:
    """The event that a mark names; 0 where it names none."""
    number = mark.partition(":")[0]
    return int(number) if number.isdigit() else 0
