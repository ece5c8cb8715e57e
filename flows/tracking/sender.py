"""Delivers the spool in the background, so that a slow or dead tracker costs training nothing."""

import logging
import re
import threading
from pathlib import Path

from flows.tracking.records import Damaged, OtherRelease, Record, from_line, unwrapped
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
        failing = None
        for journal in journals(self.folder):
            try:
                self._take(journal)
            except Exception as error:  # noqa: BLE001  of the tracker, its database or the disk: it may pass
                failing = f"{type(error).__name__}: {shown(error)}"
                break
        if failing and not self.failing:
            log.warning("MLflow takes no records now (%s): they wait in %s", failing, self.folder)
        self.failing = failing

    def _take(self, journal: Journal) -> None:
        if self.own and journal.file == self.own.file:
            self._deliver(self.own)
        elif journal.file not in self.left and journal.claim():
            try:
                self._deliver(journal)
            finally:
                journal.release()

    def _deliver(self, journal: Journal) -> None:
        """Up to the first record that cannot be delivered now, whose error is raised."""
        for wrapped, position in journal.unsent():
            line, record = unwrapped(wrapped), None
            try:
                record = journal.found(from_line(line))
                fault = self._fault_of(record)
            except OtherRelease as error:
                self.left[journal.file] = (
                    f"{journal.file}: {error}. It is left as it is. Remedy: `python -m flows.tracking.recording drain` in a "
                    "checkout of the release that wrote it, or delete it with its files"
                )
                log.warning("%s", self.left[journal.file])
                return
            except Damaged as error:
                fault = error
            if fault is None:
                self.delivered += 1
            else:
                self.refused += 1
                reason = f"{journal.file}, up to byte {position}: {shown(fault)}"
                refuse(journal, line, reason, record.kept if record else None)
                log.warning("refused, and kept in %s/refused.jsonl: %s", self.folder, reason)
            journal.mark_sent(position)
            if fault is None and record.kept:
                journal.forget(record.kept)

    def _fault_of(self, record: Record) -> Exception | None:
        """Deliver a record. Returns the error when it will never be taken as it is; raises what is not the record's fault."""
        from flows.tracking import replay  # MLflow: seconds that the flow does not wait for

        self._replay = self._replay or replay.Replay(self.uri)
        try:
            self._replay.deliver(record)
        except Exception as error:  # MLflow raises what it likes: `is_refusal` tells whose fault it is
            if replay.is_refusal(error):
                return error
            raise
        return None


def shown(error: Exception) -> str:
    """The error's first line without its full stop, with its name where it says nothing by itself, without the credentials that an
    address may hold."""
    text = (str(error).splitlines() or [""])[0].rstrip(".")
    text = f"{type(error).__name__}: {text}" if isinstance(error, LookupError | TypeError | AttributeError) else text
    return re.sub(r"//[^/@\s]+@", "//", text)[:400]
