"""Delivers the spool in the background, so that a slow or dead tracker costs training nothing."""

import logging
import re
import threading
from pathlib import Path

from flows.tracking.records import OtherRelease, from_line
from flows.tracking.spool import Journal, journals, refuse

log = logging.getLogger(__name__)
_LONGEST_PAUSE_S = 30.0


class Sender(threading.Thread):
    """Delivers `own` as it grows, and what ended processes left behind. Pauses longer after each failure."""

    def __init__(self, folder: Path, uri: str, own: Journal | None = None) -> None:
        super().__init__(name="crl-record-sender", daemon=True)
        self.folder, self.uri, self.own = folder, uri, own
        self.failing: str | None = None  # why the last attempt failed
        self.delivered = self.refused = 0
        self.left: dict[Path, str] = {}  # journals of other releases, each with the remedy
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._replay = None

    def wake(self) -> None:
        self._wake.set()

    def finish(self, wait_s: float) -> None:
        """Deliver what is left: until all is sent, the tracker fails, or the time is over."""
        self._closing.set()
        self.wake()
        self.join(wait_s)

    def run(self) -> None:
        from flows.tracking import replay  # MLflow: seconds that the flow does not wait for

        self._calls = replay
        pause_s = 1.0
        while True:
            closing = self._closing.is_set()  # read first: what was appended before closing is seen below
            self._wake.clear()
            self._deliver_all()
            if closing:
                return
            if self.failing:
                self._closing.wait(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            else:
                pause_s = 1.0
                self._wake.wait()

    def _deliver_all(self) -> None:
        was_failing, self.failing = self.failing, None
        for journal in journals(self.folder):
            if self.own and journal.file == self.own.file:
                self._deliver(self.own)
            elif journal.file not in self.left and journal.claim():
                self._deliver(journal)
                journal.release()
            if self.failing:
                break
        if self.failing and not was_failing:
            log.warning("the tracker does not answer (%s): records wait in %s", self.failing, self.folder)

    def _deliver(self, journal: Journal) -> None:
        """Up to the first record that the tracker does not take now."""
        for line, position in journal.unsent():
            record = None
            try:
                record = from_line(line)
                self._replay = self._replay or self._calls.Replay(self.uri)
                self._replay.deliver(record)
                self.delivered += 1
            except OtherRelease as error:
                self.left[journal.file] = (
                    f"{journal.file}: {error}. It is left as it is. Remedy: `python -m flows.tracking.recording drain` in a "
                    "checkout of the release that wrote it, or delete it with its files"
                )
                log.warning("%s", self.left[journal.file])
                return
            except self._calls.FAULTS as error:
                if not self._calls.is_refusal(error):
                    self.failing = f"{type(error).__name__}: {shown(error)}"
                    return
                self.refused += 1
                reason = f"{journal.file}, up to byte {position}: {shown(error)}"
                refuse(self.folder, line, reason)
                log.warning("refused, and kept in %s/refused.jsonl: %s", self.folder, reason)
            journal.mark_sent(position)
            if record and record.kept:
                journal.forget(record.kept)


def shown(error: Exception) -> str:
    """The error's first line without the credentials that an address may hold."""
    return re.sub(r"//[^/@\s]+@", "//", (str(error).splitlines() or [""])[0])[:200]
