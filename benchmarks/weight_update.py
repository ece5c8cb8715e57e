"""New weights of half a billion parameters, from a learner's two workers into a running engine: seconds, and what the head holds.

    crl models fetch qwen2.5-coder-0.5b-instruct && make cluster
    python -m benchmarks.weight_update [--repeats N] [--json FILE]

Qwen2.5-Coder-0.5B-Instruct (630 M parameters with its head), sent in bfloat16. The first worker gathers tensor by tensor and
writes a file, which the head maps; an engine in this process copies it into its own weights, a vLLM server (started here, on the
CPU) gets it as a file once more. `engine_in_memory`, `server_in_memory`: seconds from asking the workers until the engine samples
from the new weights, with all files in memory (/dev/shm) against all on the disk. `engine_head_memory`, `server_head_memory`: the
private memory that the head takes on meanwhile, against the weights' own bytes; what is mapped is the system's to give back.
"""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from transformers.utils import logging

from benchmarks.common import GIB, Row, main, private_gib, row, seconds
from benchmarks.pretrained import ENGINE, Shape, opening
from benchmarks.vllm import served
from crl.config.compose import composed
from crl.config.play import ModelConfig
from crl.engine.kinds import Server, Transformers
from crl.engine.protocol import Engine
from crl.learn.group import LearnerGroup
from crl.models.shelf import located

CONF = Path(__file__).parents[1] / "conf"
MODEL, DTYPE = "qwen2.5-coder-0.5b-instruct", "bfloat16"
GIVEN = (
    "run.device=cpu", "run.torch_threads=1", f"models.actor.dtype={DTYPE}", "learn.actor.kl_coef=0", "learn.actor.workers=2",
)  # fmt: skip
SHAPE = Shape(episodes=1, turns=1)
IN_MEMORY = Path("/dev/shm")
LOOK_S = 0.005


@dataclass
class Updates:
    """Of one engine, by one way."""

    took: list[float] = field(default_factory=list)  # s
    held: list[float] = field(default_factory=list)  # GiB

    def measure(self, group: LearnerGroup, engine: Engine, repeats: int) -> None:
        for version in range(1, repeats + 2):
            with private_memory() as most:
                took = seconds(lambda version=version: engine.load_weights(group.weights(), version))
            if version > 1:  # the first pays for what is allocated once
                self.took.append(took)
                self.held.append(most[0])


@contextmanager
def private_memory() -> Iterator[list[float]]:
    """The most GiB that this process took on in the block, beyond what it had; once it has ended."""
    began, most, over = private_gib(), [0.0], threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            most[0] = max(most[0], private_gib() - began)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def updates(source: str, url: str, folder: Path, repeats: int) -> dict[str, Updates]:
    """By the kind of engine, with all files in the folder."""
    group = LearnerGroup(composed("quick", GIVEN, CONF), "actor", source, scratch=folder).ready()
    measured = {"engine": Updates(), "server": Updates()}
    try:
        for name, kind, address in (("engine", Transformers, ""), ("server", Server, url)):
            settings = ENGINE.model_copy(update={"weights_folder": str(folder)})
            with closing(kind.open(opening(source, SHAPE, DTYPE, url=address, engine=settings))) as engine:
                measured[name].measure(group, engine, repeats)
    finally:
        group.close()
    return measured


def run(repeats: int) -> list[Row]:
    logging.disable_progress_bar()
    source, settings = located(MODEL), ModelConfig(context_tokens=SHAPE.context, dtype=DTYPE)
    with ExitStack() as stack:
        disk, memory = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(dir=where))) for where in (None, IN_MEMORY)
        )
        url = stack.enter_context(served(source, disk, ENGINE, settings, "cpu"))
        on_disk, in_memory = (updates(source, url, folder, repeats) for folder in (disk, memory))
    weights = [Path(source, "model.safetensors").stat().st_size / 2 / GIB] * repeats
    return [
        *(row(f"{name}_in_memory", in_memory[name].took, on_disk[name].took, unit="s") for name in on_disk),
        *(row(f"{name}_head_memory", on_disk[name].held, weights, unit="GiB") for name in on_disk),
    ]


if __name__ == "__main__":
    main("weight_update: 630 M parameters into a running engine", run, repeats=3)
