"""A trainer in processes of its own, seen from the head: `learn.<role>.workers`.

    head ── batch, once pickled ──► worker 0 .. n-1 ── metrics ──► head
                                    worker 0 ── weights, a file that is mapped, or Ray's store ──► the head's engine

The head holds no copy of what learns: neither weights nor optimiser, nor what is kept to go back to, which lies in a folder.
Of what was learned since the last state on disk it holds the batches, so a group that lost a worker is started again from there.
"""

import itertools
import logging
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, TypeVar

import torch

from crl.config import Config
from crl.errors import ConfigError, CrlError, RunStopped
from crl.learn.crew import Crew, CrewHere, StartCrew
from crl.learn.lost import WorkerLost
from crl.learn.sequences import WeightedSequence
from crl.learn.worker import Opening
from crl.learn.workers import Workers
from crl.models.resolve import resolve_device

# From one state on disk: where memory runs out in the same update each time, each further start would only load the model again.
RESTARTS = 3

log = logging.getLogger(__name__)
T = TypeVar("T")


class LearnerGroup:
    """`crl.learn.protocol.Training` by `learn.<role>.workers` processes, on a GPU each where there are some.

    The first error of any of them ends them all: those that are left could wait for the others for good. Where one was killed, or
    hung, others take their places: they load the last state on disk (`committed`), learn from the batches since in the same
    order, and then are asked again what the lost ones were asked. On CPUs that gives the same bytes.
    """

    def __init__(
        self, config: Config, role: str, source: str, start: StartCrew = CrewHere, scratch: Path | None = None
    ) -> None:
        """Starts the processes, which load the model while the caller goes on; `ready` waits for them.

        `start` starts them, on this machine or elsewhere, and all of them see `scratch`; None: this machine's temporary folder.
        Raises ConfigError where this machine has fewer GPUs than workers.
        """
        self.dtype = config.role(role).model.dtype
        self._config, self._role, self._source = config, role, source
        self._count = config.role(role).learn.workers
        if start is CrewHere:
            self._refuse_too_many(config)
        self._start_crew = start
        self._folder = Path(tempfile.mkdtemp(prefix="crl-learner-", dir=scratch))
        self._numbers = itertools.count()
        self._lock, self._ending = threading.RLock(), threading.RLock()
        self._ended: CrlError | None = None  # why there are no processes any more
        self._kept: Path | None = None
        self._state: Path | None = None  # where a further crew begins; None: with the model as it was loaded
        self._since: list[memoryview] = []  # the updates after that, as they were sent
        self._saved = 0  # how many of them what was saved last contains
        self._restarts = self._untold = 0  # from that state; since the last metrics
        self._start()

    def ready(self) -> "LearnerGroup":
        """Wait until every worker has its share of the model. Raises what opening a trainer raises."""
        self.architecture: str = self._ask("architecture")
        return self

    def update(
        self, batch: Sequence[WeightedSequence], *, steps: int = 1, lr_scale: float = 1.0, version: int | None = None
    ) -> dict[str, float]:
        """With `worker_restarts`, where there were any since the update before."""
        message = ForkingPickler.dumps(("update", (tuple(batch), steps, lr_scale, version)))
        with self._lock:
            metrics = self._send(lambda crew: crew.ask("update", message))
            self._since.append(message)
            restarts, self._untold = self._untold, 0
        return metrics | ({"worker_restarts": float(restarts)} if restarts else {})

    def weights(self) -> dict[str, torch.Tensor]:
        return self._send(lambda crew: crew.weights())

    def save(self, folder: Path) -> None:
        with self._lock:
            self._ask("save", folder)
            self._saved = len(self._since)

    def committed(self, folder: Path) -> None:
        with self._lock:
            self._state, self._since = folder, self._since[self._saved :]
            self._saved = self._restarts = 0

    def load(self, folder: Path) -> None:
        with self._lock:
            self._ask("load", folder)
            self._saved = len(self._since)
            self.committed(folder)

    def keep(self) -> None:
        folder = self._new_folder()
        with self._lock:
            self.save(folder)
            self.committed(folder)
        self._keep_in(folder)

    def take_back(self) -> None:
        self.load(self._kept)

    def save_kept(self, folder: Path) -> None:
        shutil.copytree(self._kept, folder, dirs_exist_ok=True)

    def load_kept(self, folder: Path) -> None:
        self._keep_in(shutil.copytree(folder, self._new_folder()))

    def export(self, tokenizer: Any, folder: Path) -> None:
        """The leading worker loads the same tokenizer."""
        self._ask("export", folder)

    def close(self) -> None:
        self._end(RunStopped(self._told("has been closed")))

    def _new_folder(self) -> Path:
        return self._folder / f"kept-{next(self._numbers)}"

    def _keep_in(self, folder: Path) -> None:
        before, self._kept = self._kept, folder
        if before not in (None, self._state):
            shutil.rmtree(before)

    def _refuse_too_many(self, config: Config) -> None:
        if resolve_device(config.run.device) == "cuda" and self._count > torch.cuda.device_count():
            raise ConfigError(
                f"learn.{self._role}.workers = {self._count}: {torch.cuda.device_count()} CUDA devices are visible, and each "
                "worker takes one. Remedy: at most as many, or null"
            )

    def _ask(self, method: str, *arguments: Any) -> Any:
        message = ForkingPickler.dumps((method, arguments))
        return self._send(lambda crew: crew.ask(method, message))

    def _send(self, asked: Callable[[Crew], T]) -> T:
        """What the leading worker returns. Raises what a worker raised, and RunStopped where they are lost again and again."""
        with self._lock:
            while not self._ended:
                try:
                    if not self._current:
                        self._bring_up_to_date()
                    return asked(self._crew)
                except WorkerLost as lost:
                    self._start_again(lost)
                except CrlError as error:
                    self._end(error)
            raise self._ended

    def _bring_up_to_date(self) -> None:
        self._crew.opened()
        if self._state is not None:
            self._crew.ask("load", ForkingPickler.dumps(("load", (self._state,))))
        for message in self._since:
            self._crew.ask("update", message)
        self._current = True

    def _start(self) -> None:
        """Nothing on disk is read before `_bring_up_to_date`: a commit may be writing it."""
        meeting = f"file://{self._folder}/meeting-{next(self._numbers)}"
        openings = [
            Opening(self._config, self._role, self._source, Workers(rank, self._count), meeting)
            for rank in range(self._count)
        ]
        self._crew, self._current = self._start_crew(openings, self._folder), False
        self._finalizer = weakref.finalize(self, _destroy, self._crew, self._folder)
        threading.Thread(target=_watch, args=(weakref.ref(self), self._crew), daemon=True).start()

    def _start_again(self, lost: WorkerLost) -> None:
        """End what is left of the crew, and start another, unless that was done too often."""
        if self._restarts == RESTARTS:
            log.error("%s", told := self._told(f"{lost}, after {RESTARTS} restarts from the same state"))
            self._end(RunStopped(told))
        with self._ending:  # whoever closes the group waits for what it has to end
            if self._ended:
                return
            self._restarts, self._untold = self._restarts + 1, self._untold + 1
            log.warning(
                "learn.%s.workers = %d: %s. All are started again (%d of at most %d times) from %s, and learn again from the %d "
                "batches since", self._role, self._count, lost, self._restarts, RESTARTS, self._state or self._source,
                len(self._since),
            )  # fmt: skip
            self._finalizer.detach()
            self._crew.kill()
            self._start()

    def _replace(self, crew: Crew) -> None:
        """`crew` has ended, or somebody in it."""
        with self._lock:
            if self._crew is crew and self._finalizer.alive and (dead := crew.killed()):
                self._start_again(WorkerLost(dead))

    def _end(self, reason: CrlError) -> None:
        with self._ending:
            self._ended = self._ended or reason
            self._finalizer()

    def _told(self, what: str) -> str:
        return (
            f"learn.{self._role}.workers = {self._count}: the {self._role}'s learner: {what}. The round is not committed, so "
            "nothing of it counts. Remedy: see whether memory ran out (dmesg), then give the same command again: it resumes from "
            "the last round"
        )


def _watch(group: "weakref.ref[LearnerGroup]", crew: Crew) -> None:
    """One that is asked for nothing is replaced, too, so that the model is loaded when it is needed."""
    crew.watch()
    if (its := group()) is not None:
        its._replace(crew)


def _destroy(crew: Crew, folder: Path) -> None:
    crew.leave()
    shutil.rmtree(folder, ignore_errors=True)
