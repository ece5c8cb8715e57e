"""Agents for the tests of the registry: real models (random, tiny), a real bank, in the layout of a checkout."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

from crl.bank.records import Keyed
from crl.bank.snapshot import FILE_NAME, table_of, write_table
from crl.config import Config
from crl.embedding.open import load_embedder
from crl.evaluation.statistics import ARMS, PHASES, EpisodeRow
from crl.models.resolve import save_model
from crl.tiny.model import build_model
from crl.tiny.tokenizer import train_tokenizer
from crl.types import Experience, Origin
from tests.flows.gated_data import Nothing

ACTIONS = ("north", "east", "south", "west")
ADVICE = "go east then north"
_WORDS = [f"{side}:{cell}" for side in "nesw" for cell in ("open", "wall", "seen", "back", "old", "stairs")]


def tokenizer():
    return train_tokenizer([" ".join((*ACTIONS, *_WORDS, ADVICE, "advice: now: reach the stairs"))] * 3, 360)


def write_models(folder: Path, config: Config, seed: int) -> None:
    """`folder/actor` and `folder/extractor`: random, but they have opinions and speak in words, not in halves of a character."""
    words = tokenizer()
    for number, role in enumerate(("actor", "extractor")):
        model = build_model(getattr(config.models, role), words, 10 * seed + number)
        for name, tensor in model.state_dict().items():
            tensor *= 1 if "norm" in name else 6  # its choices are no coin toss
        model.get_output_embeddings().weight.data[:256] = 0.0
        save_model(model, words, folder / role)


def write_bank(folder: Path, advice: str = ADVICE, embedder: str = "minilm") -> None:
    """A snapshot with one experience for the task `room`."""
    situation = "reach the stairs\nn:open e:wall s:open w:wall stairs:unseen"
    entry = Experience(f"entry-{advice}", "room", advice, situation, Origin("c", "e", 0, "distil"))
    folder.mkdir(parents=True, exist_ok=True)
    vector = load_embedder(embedder).embed([situation])[0]
    write_table(table_of([Keyed(entry, vector)], Nothing(), embedder), folder / FILE_NAME)


def put_out(config: Config, seed: int, round_: int = 0) -> None:
    """What `co_evolve` leaves in the checkout that is the working directory."""
    shutil.rmtree("bank", ignore_errors=True)
    write_models(Path("models"), config, seed)
    write_bank(Path(f"bank/round_{round_:04d}"), f"go {ACTIONS[seed % 4]} then north")


def figures(tasks, won: dict[str, int | dict[str, int]]) -> list[EpisodeRow]:
    """Episodes of all phases and arms; `won[phase]` of a phase's levels were solved, in both arms or by arm."""
    solved = {phase: each if isinstance(each, dict) else dict.fromkeys(ARMS, each) for phase, each in won.items()}
    return [
        EpisodeRow(task.name, task.id, arm, phase, number < solved[phase][arm], 5)
        for phase in PHASES
        for arm in ARMS
        for number, task in enumerate(tasks)
    ]


def fake_run(config: Config, state: Path, lineage: str = "abcdef012345") -> SimpleNamespace:
    """What `registry.candidate` needs of a `CoEvolution`; models are files of a few bytes."""

    def learner(role: str) -> SimpleNamespace:
        made = SimpleNamespace(version=0)

        def export(folder: Path) -> None:
            folder.mkdir(parents=True)
            (folder / "config.json").write_text(json.dumps({"role": role, "version": made.version}))

        made.export = export
        return made

    folders = SimpleNamespace(snapshots=state / "snapshots", checkpoints=state / "checkpoints")
    parts = SimpleNamespace(state=folders, actor=learner("actor"), extractor=learner("extractor"))
    return SimpleNamespace(config=config, lineage=lineage, parts=parts)


def commit_round(run: SimpleNamespace, round_: int, weights: bytes = b"w") -> SimpleNamespace:
    """One more committed round of a fake run: other weights, another bank; returns its report."""
    for role in ("actor", "extractor"):
        getattr(run.parts, role).version = round_ + 1
        checkpoint = run.parts.state.checkpoints / f"round_{round_:04d}" / role
        checkpoint.mkdir(parents=True)
        (checkpoint / "model.safetensors").write_bytes(weights + str(round_).encode())
    snapshot = run.parts.state.snapshots / f"round_{round_:04d}"
    snapshot.mkdir(parents=True)
    (snapshot / "bank.parquet").write_text(f"entries of {round_}")
    return SimpleNamespace(round=round_)
