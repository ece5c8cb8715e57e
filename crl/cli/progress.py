"""How far long work is: a bar in the terminal, lines in the log where there is none."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import copy_context
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from crl.cli.stall import Watchdog, duration, places, waited_for
from crl.config import Config
from crl.episode.tally import Progress, Standing, Tally

_LOOK_S = 0.5  # between two looks at where the episodes stand
_LOG_S = 30.0  # between two lines of a log, at least


class Display(Progress):
    """Say from any thread what is done, or which batch of episodes to follow.

    A thread of its own looks at the episodes: in lockstep a model generates on the event loop, for minutes if it is large.
    """

    def __init__(
        self,
        name: str,
        console: Console,
        whole: str | None = None,
        *,
        transient: bool = False,
        stall_s: float = math.inf,
    ) -> None:
        """`name` begins the log's lines; `whole` names the work whose steps hold all other work.

        `transient`: the bars go when the work is done. `stall_s`: when nothing has moved for so long, it is told.
        """
        self.name, self.console, self._whole_name = name, console, whole
        columns = (TextColumn("{task.description:<10}"), BarColumn(16), MofNCompleteColumn(), _Left())
        hidden = not console.is_terminal
        said = TextColumn("{task.fields[said]}")
        self._bars = Bars(*columns, said, console=console, disable=hidden, transient=transient)
        self._rows: dict[str, TaskID] = {}
        self._lock = threading.RLock()
        self.tally: Tally | None = None  # that is looked at
        self.whole, self._part = (0, 0), 0.0  # (done, of) of the whole; share of the work at hand
        self._units: dict[str, tuple[float, bool]] = {}  # at work: since when, and whether beside the episodes
        self._steps = 0  # of any work
        self._watchdog, self._pulse = Watchdog(stall_s), _nothing_else
        self._places: Mapping[str, str] = {}
        self.said = f"Progress of {name}"
        self._logged_s, self._logged = time.monotonic(), ((0, 0, 0), "")

    def __call__(self, what: str, done: int, of: int) -> None:
        with self._lock:
            self._leave()
            self._steps += 1
            self._draw(self._row(what, what, of), done, of)
            if what == self._whole_name:
                self.whole, self._part = (done, of), 0.0
            else:
                self._part = done / of if of else 0.0
            self.said = f"{self.name}: {what} {done}" + (f" of {of}" if of else "")

    def follow(self, tally: Tally) -> None:
        with self._lock:
            self._leave()
            self.tally = tally
            row = self._row(tally.place, tally.what, tally.planned)
            self._bars.reset(row, total=tally.planned, description=tally.what, said="", left_s=None)

    @contextlib.contextmanager
    def at(self, unit: str, *, beside: bool = True) -> Iterator[None]:
        """A unit of the whole is at work for the time of the block; `beside` the episodes: shown with where they stand."""
        self._units[unit] = time.monotonic(), beside
        try:
            yield
        finally:
            self._units.pop(unit, None)

    def watch(self, pulse: Callable[[], object], config: Config) -> None:
        """`pulse` differs as soon as anything else has moved; the parameters say where that is which is waited for."""
        with self._lock:
            self._pulse, self._places = pulse, places(config)

    def warn(self, text: str) -> None:
        """The work stands still, or moves again."""
        self.line(text)

    def line(self, text: str) -> None:
        """A line above the bar."""
        self._bars.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @property
    def percent(self) -> float:
        """Of the whole, or of the work at hand where nothing holds it all."""
        done, of = self.whole
        part = (done + self._part) / of if of else self._part
        return 100.0 * min(part, 1.0)

    @contextlib.contextmanager
    def drawn(self) -> Iterator[None]:
        """Show it for the time of the block."""
        ending = threading.Event()

        def look_on() -> None:
            while not ending.wait(_LOOK_S):
                self.look()
                self.guard()

        looking = threading.Thread(target=copy_context().run, args=(look_on,), name="crl-progress", daemon=True)
        looking.start()
        try:
            with self._bars:
                yield
                with self._lock:
                    self._leave()
        finally:
            ending.set()
            looking.join()

    def look(self) -> None:
        """See where the episodes stand, and show it."""
        with self._lock:
            units = ", ".join(unit for unit, (_, beside) in self._units.copy().items() if beside)
            if self._whole_name in self._rows:
                self._bars.update(self._rows[self._whole_name], said=units)
            if (tally := self.tally) is None:
                return
            now = tally.standing()
            self._draw(self._rows[tally.place], now.ended, now.planned, said=str(now), left_s=now.left_s)
            self._part = now.ended / now.planned if now.planned else 0.0
            self.said = f"{self.name}: {in_words(tally.what, now)}" + (f"; {units}" if units else "")
            moved = now.moved, units
            if not self.console.is_terminal and moved != self._logged and time.monotonic() - self._logged_s >= _LOG_S:
                self.line(self.said)
                self._logged_s, self._logged = time.monotonic(), moved

    def guard(self) -> None:
        """Tell what is waited for when nothing moves, and when it moves again."""
        with self._lock:
            tally, units = self.tally, self._units.copy()
            live = tally.live() if tally else []
            moved = self._steps, units, live, tally and tally.moved, self._pulse()

            def waits() -> str:
                runs = {unit: time.monotonic() - since for unit, (since, _) in units.items()}
                return waited_for(runs, live, self._places)

            if said := self._watchdog.look(moved, waits):
                self.warn(f"{self.said}: {said}")

    def _row(self, place: str, what: str, total: int) -> TaskID:
        if place not in self._rows:
            self._rows[place] = self._bars.add_task(what, total=total or None, said="", left_s=None)
            if not self.console.is_terminal and place == what:
                self.console.print(f"{self.name}: {what}", highlight=False)
        return self._rows[place]

    def _draw(self, row: TaskID, done: int, of: int, **fields: object) -> None:
        self._bars.update(row, completed=done, total=of or None, **fields)

    def _leave(self) -> None:
        """Show how the batch that was followed ended, and follow it no more."""
        self.look()
        self.tally = None


class _Left(TimeRemainingColumn):
    """As the batch estimates it; of other work, by the pace of its steps. In the end, the time that it took."""

    def __init__(self) -> None:
        super().__init__(elapsed_when_finished=True)

    def render(self, task: Task) -> Text:
        left_s = task.fields["left_s"]
        if left_s is None or task.finished:
            return super().render(task)
        return Text(str(timedelta(seconds=round(left_s))), style="progress.remaining")


def in_words(what: str, now: Standing) -> str:
    """Where a batch stands, as a line of a log."""
    facts = [f"{what}: {now.ended} of {now.planned} episodes", str(now)]
    if now.ended < now.planned and now.left_s is not None:
        facts.append(f"about {duration(now.left_s)} left")
    return ", ".join(filter(None, facts))


def _nothing_else() -> None:
    """The pulse of work that says all by its steps and episodes."""
