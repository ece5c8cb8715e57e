"""Where a run's working state lives, and whether what lies there belongs to this run."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crl.config import NO_RESULT, Config
from crl.errors import DataError
from crl.files import digest_folder, discard, read_json, recover, round_folder, write_json

CHECKPOINT_FORMAT = 3  # of a checkpoint's files


def run_inputs(actor: Path, extractor: Path, tasks: str) -> dict[str, str]:
    """What a run starts from: digests of its base models, and of its task sets."""
    return {"actor": digest_folder(actor), "extractor": digest_folder(extractor), "tasks": tasks}


def lineage_id(config: Config, inputs: dict[str, str]) -> str:
    """One id for a run: its training parameters, and digests of its base models and task sets.

    Everything the run writes carries it. How tasks were filtered is in their digest. What changes no result (where servers are,
    when to say that nothing moves) may change, and what n workers learned m workers go on with, wherever.
    """
    outside = NO_RESULT | dict.fromkeys(("profile", "pass_rate", "filter", "evaluate", "record"), True)
    outside["learn"] = {role: {"workers", "placed"} for role in ("actor", "extractor")}
    values = config.model_dump(mode="json", exclude=outside)
    text = json.dumps([values, inputs], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def damaged(checkpoint: Path, error: Exception) -> DataError:
    """What is to be raised of a checkpoint that cannot be read, before anything was undone."""
    told = str(error).partition(". Remedy: ")[0]
    return DataError(
        f"{checkpoint}: the checkpoint is damaged, and nothing was changed: {told}. Remedy: bring its files back, or remove "
        "the folder: the run goes on from the round before, where that is kept (rounds.keep_checkpoints)"
    )


@dataclass(frozen=True)
class StateFolder:
    """`root/<lineage>`: other parameters never resume from this state.

    A complete run's state stays until its outs are stored: it is all that the run left, should storing them fail.
    """

    path: Path
    lineage: str

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def snapshots(self) -> Path:
        return self.path / "snapshots"

    @property
    def episodes(self) -> Path:
        """Journals of the rounds' episodes. Nothing of a run depends on them."""
        return self.path / "episodes"

    def manifest(self, round_: int) -> dict[str, Any]:
        """What the round's checkpoint says of itself. Raises DataError where that is damaged, or another release wrote it."""
        file = round_folder(self.checkpoints, round_) / "manifest.json"
        try:
            manifest = read_json(file)
        except DataError as error:
            raise damaged(file.parent, error) from error
        if manifest.get("format") != CHECKPOINT_FORMAT:
            raise DataError(
                f"{file}: format = {manifest.get('format')}, not {CHECKPOINT_FORMAT}: another release wrote it. "
                f"Remedy: end the run with that release, or remove {self.path} to begin it anew"
            )
        return manifest

    @property
    def finished(self) -> Path:
        """The mark of a complete run."""
        return self.path / "finished.json"

    def finish(self, outs: Mapping[str, str]) -> None:
        """Mark the run as complete, with digests of what it put out by path. Started again, it puts them out again."""
        write_json(self.finished, {"lineage": self.lineage, "outs": dict(outs), "stored": False})

    def outs_to_store(self) -> dict[str, str] | None:
        """What a complete run put out and nobody is known to hold; None when there is no such thing."""
        mark = read_json(self.finished) if self.finished.exists() else {}
        return None if mark.get("stored", True) else mark["outs"]

    def mark_stored(self) -> None:
        """The outs are held elsewhere: the next start with the same parameters begins anew."""
        write_json(self.finished, read_json(self.finished) | {"stored": True})


def open_state(root: Path, config: Config, inputs: dict[str, str]) -> StateFolder:
    """The run's folder: resumed, unless the run is complete and its outs are stored; fresh then."""
    lineage = lineage_id(config, inputs)
    folder = StateFolder(root / lineage, lineage)
    recover(root)
    if folder.finished.exists() and folder.outs_to_store() is None:
        discard(folder.path)
    for part in ("checkpoints", "bank", "snapshots", "reports"):
        (folder.path / part).mkdir(parents=True, exist_ok=True)
    run = {"lineage": lineage, "inputs": inputs, "config": config.model_dump(mode="json")}
    write_json(folder.path / "run.json", run)
    write_json(root / "latest.json", {"lineage": lineage})
    return folder


def latest_state(root: Path) -> Path:
    """The folder of the run that was started last. Raises DataError when there is none."""
    return root / read_json(root / "latest.json")["lineage"]
