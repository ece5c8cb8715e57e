"""Whether vLLM, in a process of its own, plays the architectures of benchmarks.models: log-probs against whole forwards.

    python -m benchmarks.models_vllm --rows FILE [--only NAME ...]   # goes on where it was stopped

One process plays architecture after architecture, and this one compares: vLLM replaces methods of transformers' classes that it
has no code of its own for, and they no longer work without it. Where the process dies or an architecture takes longer than
the limit, that is its row, and another process goes on. `python -m benchmarks.models --markdown --vllm FILE` shows the column.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from transformers.utils import logging

from benchmarks.models import CONTEXT_TOKENS, MODELS, VOCABULARY, build, prompts
from crl.config.play import ModelConfig
from crl.config.servers import EngineConfig
from crl.doctor.weights import play, sequences, worst_nats
from crl.engine.kinds import Opening, Vllm
from crl.learn.sequences import TrainingSequence
from crl.models.resolve import load_model, save_model
from crl.tiny.tokenizer import train_tokenizer

TOLERANCE = 1e-4  # nats: vLLM's kernels add up in another order, which made 2e-6 at most in 45 rows
LIMIT_S = 600.0  # of one architecture, the start of a process included; half a minute on a quiet machine


@dataclass(frozen=True, slots=True)
class Played:
    """What vLLM did with one architecture."""

    name: str
    nats: float | None = None  # the largest |log-prob of vLLM - of a whole forward|
    refusal: str = ""  # what it said instead of playing

    @property
    def result(self) -> str:
        """As the table shows it."""
        if self.nats is None:
            return self.refusal
        return f"{self.nats:.0e}" if self.nats <= TOLERANCE else f"differs: {self.nats:.1g}"


def rows_in(file: Path) -> dict[str, Played]:
    """The rows that were made so far, by architecture."""
    lines = file.read_text().splitlines() if file.is_file() else []
    return {row.name: row for row in (Played(**json.loads(line)) for line in lines)}


def play_here(name: str, said: Path) -> None:
    """Have vLLM play one architecture in this process, and append to `said` what it sampled, or why it did not."""
    tokenizer = train_tokenizer(["go north to the door"], 300)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        save_model(build(name), tokenizer, folder)
        opening = Opening(
            role="actor", source=str(folder), model=load_model(folder)[0], tokenizer=tokenizer, end_ids=frozenset(),
            vocabulary=VOCABULARY, sessions=8, engine=EngineConfig(kind="vllm", eager=True), device="cpu",
            settings=ModelConfig(source=str(folder), context_tokens=CONTEXT_TOKENS),
        )  # fmt: skip
        outcome: dict[str, object] = {"name": name}
        try:
            with closing(Vllm.open(opening)) as engine:
                outcome["sequences"] = [asdict(each) for each in sequences(asyncio.run(play(engine, prompts())))]
        except Exception as error:  # noqa: BLE001  whatever vLLM raises is the row's result
            outcome["refusal"] = _short(error, place)
    with said.open("a") as lines:
        lines.write(json.dumps(outcome) + "\n")


def _short(error: BaseException, place: str) -> str:
    """What was raised first, without the folders of this machine."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = " ".join(str(error).replace(place, "").partition("Remedy")[0].split())
    return f"{type(error).__name__}: {words[:140]}"


def compared(line: str) -> Played:
    """The row of what a process told of one architecture."""
    outcome = json.loads(line)
    if "refusal" in outcome:
        return Played(outcome["name"], refusal=outcome["refusal"])
    found = [
        TrainingSequence(**{k: tuple(v) if isinstance(v, list) else v for k, v in each.items()})
        for each in outcome["sequences"]
    ]
    return Played(outcome["name"], worst_nats(build(outcome["name"]), found))


def supervise(names: Sequence[str], file: Path) -> None:
    """Have every missing row made by processes that may die or hang."""
    while missing := [name for name in names if name not in rows_in(file)]:
        with tempfile.TemporaryDirectory() as place:
            why = _through(missing, file, Path(place))
        if missing := [name for name in missing if name not in rows_in(file)]:
            _add(file, Played(missing[0], refusal=why))


def _through(names: Sequence[str], file: Path, place: Path) -> str:
    """One process, as far as it comes; rows are added while it goes on. Returns how it ended."""
    said, log = place / "said.jsonl", place / "log"
    said.touch()
    command = [sys.executable, "-m", "benchmarks.models_vllm", "--rows", str(said), "--here", "--only", *names]
    environment = os.environ | {"TORCH_COMPILE_DISABLE": "1"}  # minutes for each architecture, and no other log-probs
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True, env=environment)
    done, since = 0, time.monotonic()
    while True:
        ended = process.poll() is not None
        lines = said.read_text().splitlines()
        for line in lines[done:]:
            _add(file, compared(line))
        if len(lines) > done:
            done, since = len(lines), time.monotonic()
        if ended:
            last = ([line for line in log.read_text().splitlines() if line.strip()] or [""])[-1]
            return f"the process ended with {process.returncode}: {last[:140]}"
        if time.monotonic() - since > LIMIT_S:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"no answer within {LIMIT_S:.0f} s"
        time.sleep(1)


def _add(file: Path, row: Played) -> None:
    print(f"{row.name}: {row.result}", flush=True)
    with file.open("a") as rows:
        rows.write(json.dumps(asdict(row)) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=Path, required=True, metavar="FILE", help="JSON lines, one of each architecture")
    parser.add_argument(
        "--only", choices=sorted(MODELS), nargs="+", metavar="NAME", help="architectures (default: all)"
    )
    parser.add_argument("--here", action="store_true", help="play in this process, without a limit")
    options = parser.parse_args()
    logging.set_verbosity_error()
    names = options.only or sorted(MODELS)
    if not options.here:
        return supervise(names, options.rows)
    for name in names:
        play_here(name, options.rows)


if __name__ == "__main__":
    main()
