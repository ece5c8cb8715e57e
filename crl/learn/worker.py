"""One process of a learner group: `python -m crl.learn.worker FD FOLDER BEATS RANK`, started by `crl.learn.crew`.

The first message says what it is; each further one names a method of `Worker`. All workers are sent the same, and all answer;
what is gathered is the leading one's to write. The first error ends the group, so the state that it left does not matter.
"""

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers.utils import logging

from crl.concurrency import end_with_parent
from crl.config import Config
from crl.errors import CrlError, RunStopped
from crl.learn.beats import beat
from crl.learn.lost import WorkerLost, comes_of_a_peer
from crl.learn.opening import load_learning, load_share, open_trainer
from crl.learn.sequences import WeightedSequence
from crl.learn.state import put_out, write_state
from crl.learn.workers import Workers
from crl.models.resolve import resolve_device


@dataclass(frozen=True, slots=True)
class Opening:
    """What a worker is to be."""

    config: Config
    role: str
    source: str
    workers: Workers
    meeting: str  # where the workers find each other, as torch has it: file:// or tcp://

    def at(self, meeting: str) -> "Opening":
        return replace(self, meeting=meeting)


class Worker:
    """What the head may ask. Paths are the head's."""

    def __init__(self, opening: Opening) -> None:
        self._opening, self._workers = opening, opening.workers
        config, role, source = opening.config, opening.role, opening.source
        torch.set_num_threads(config.run.torch_threads)
        opening.workers.meet(opening.meeting, resolve_device(config.run.device))
        model = load_share(config, role, source, opening.workers)
        self._trainer = open_trainer(config, role, model, source, opening.workers)

    def architecture(self) -> str:
        return self._trainer.architecture

    def update(
        self, batch: Sequence[WeightedSequence], steps: int, lr_scale: float, version: int | None
    ) -> dict[str, float]:
        return self._trainer.update(batch, steps=steps, lr_scale=lr_scale, version=version)

    def weights(self) -> dict[str, torch.Tensor]:
        """For an engine, one tensor gathered after the other; of the leading worker alone."""
        return self._trainer.weights("cpu")

    def write_weights(self, file: Path) -> None:
        weights = self.weights()
        if self._workers.leads:
            save_file(weights, file)

    def save(self, folder: Path) -> None:
        self._trainer.save(folder)

    def load(self, folder: Path) -> None:
        self._trainer.load(folder)

    def export(self, folder: Path) -> None:
        """Through a plain model on the CPU, since the trainer's may be in pieces."""
        state = self._trainer.state_dict(slots=False)
        if self._workers.leads:
            model, tokenizer = load_learning(self._opening.config, self._opening.role, self._opening.source, "cpu")
            if state.base is None:
                model.float()
            write_state(model, torch.optim.AdamW(model.parameters()), state)
            put_out(model, tokenizer, folder, state.base)


def serve(connection: Connection) -> None:
    """Answer with (value, None) or (None, error) until the head hangs up. What is no error of ours ends the worker, too."""
    worker = opening = None
    while True:
        try:
            asked = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        opening = opening or asked
        try:
            if worker is None:
                worker, answer = Worker(opening), None
            else:
                method, arguments = asked
                answer = getattr(worker, method)(*arguments)
            connection.send((answer, None))
        except Exception as error:
            connection.send((None, told(opening, error)))
            if not isinstance(error, CrlError):
                raise


def told(opening: Opening, error: Exception) -> Exception:
    """What the head raises of a worker's error: ours as they are."""
    if isinstance(error, CrlError):
        return error
    role, what = opening.role, f"worker {opening.workers.rank + 1}: {type(error).__name__}: {error}"
    if comes_of_a_peer(error):
        return WorkerLost(what)
    return RunStopped(
        f"learn.{role}.workers = {opening.workers.count}: {what}. Remedy: where memory ran out, a smaller "
        f"learn.{role}.optimizer.micro_batch_tokens or more workers; else its traceback, on standard error, or in Ray's logs of "
        "its node. The same command resumes from the last round"
    )


def main() -> None:
    fd, folder, beats, rank = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    for stop in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C and a scheduler's stop reach all processes; the head decides
        signal.signal(stop, signal.SIG_IGN)
    logging.disable_progress_bar()  # n of them would run through the pipeline's own
    end_with_parent(fd, folder)
    beat(beats, rank)
    serve(Connection(fd))


if __name__ == "__main__":
    main()
