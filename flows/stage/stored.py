"""Whether DVC holds what a complete `co_evolve` put out. Until then the run's state stays, and nothing is played again.

DVC writes a stage into dvc.lock after all its outs are in its cache (`Stage.run` and `_reproduce_stage` in its source). Stages look
when they start, and `make run` at its end, since the lock may belong to other parameters by the next start of `co_evolve`.
"""

import hashlib
from pathlib import Path

from crl.round.state import StateFolder
from flows.stage import lineage
from flows.stage.paths import EFFECTS, ROUNDS, STATE, TRANSCRIPTS, metrics_of

STAGE = "co_evolve"
_TELLING = (TRANSCRIPTS, EFFECTS, metrics_of(STAGE), ROUNDS)  # small outs that no two different runs have alike


def digests() -> dict[str, str]:
    """What was put out just now, by path, as DVC hashes it."""
    return {str(path): hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() for path in _TELLING}


def look(states: Path = STATE, lock: Path = lineage.LOCK) -> None:
    """Mark the complete runs whose outs DVC holds."""
    waiting = {state: outs for state in _states(states) if (outs := state.outs_to_store())}
    held = lineage.stored_outs(STAGE, lock) if waiting else {}
    for state, outs in waiting.items():
        if outs.items() <= held.items():
            state.mark_stored()


def is_awaited(lineage_id: str, states: Path = STATE) -> bool:
    """Whether this run is complete, and DVC is not known to hold what it put out."""
    return StateFolder(states / lineage_id, lineage_id).outs_to_store() is not None


def _states(states: Path) -> list[StateFolder]:
    return [StateFolder(file.parent, file.parent.name) for file in states.glob("*/finished.json")]
