"""Where the runs of a study lie, and as what each was played. To read them takes nothing of what plays them.

    ROOT/STUDY/base/KEY/{actor,extractor}    base models: of all runs whose parameters make the same ones
    ROOT/STUDY/ARM/SEED/run.json             what is played: started again with other parameters or code, it is refused
                        state/               the co-evolution's own folder, from which a killed run goes on
                        points/ROUNDS.json   an evaluation after so many rounds
                        done.json            all rounds are played and evaluated: nothing is done again

`crl.study.run` writes them.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from crl.config import Config
from crl.evaluation.code import code_digest
from crl.files import read_json
from crl.study.definition import Study

ROOT = Path("runs/study")
# Rooms that change no figure of a run.
IDLE_ROOMS = frozenset({"cli", "doctor", "plan", "publish", "report", "serve", "study"})


@dataclass(frozen=True)
class StudyRun:
    """Where one run of a study lies, and whether it has ended."""

    study: Study
    arm: str
    seed: int
    root: Path = ROOT

    @property
    def folder(self) -> Path:
        return self.root / self.study.name / self.arm / str(self.seed)

    @property
    def done(self) -> bool:
        return (self.folder / "done.json").is_file()

    def point(self, rounds: int) -> Path:
        """The evaluation after so many rounds."""
        return self.folder / "points" / f"{rounds:04d}.json"

    def points(self) -> list[dict]:
        """All evaluations so far, in the order of the rounds."""
        return [read_json(file) for file in sorted((self.folder / "points").glob("*.json"))]


def identity(config: Config) -> dict[str, str]:
    """Digests of what is played and of the code that plays it."""
    return {"params": digest(config.model_dump(mode="json")), "code": code_digest(idle=IDLE_ROOMS)}


def digest(values: object) -> str:
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=6).hexdigest()
