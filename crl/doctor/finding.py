"""What a check is given and what it finds."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from crl.config import Config
from crl.errors import CrlError

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw, and what to do about it."""

    status: Status
    seen: str
    needed: str = ""
    remedy: str = ""  # set unless the status is ok
    check: str = ""  # filled in with the check's name unless a finding is about something else

    @classmethod
    def refused(cls, error: CrlError, needed: str, check: str = "") -> "Finding":
        """What this library refuses: its message ends with its remedy."""
        seen, _, remedy = str(error).partition(" Remedy: ")
        return cls("fail", seen, needed, remedy, check)


@dataclass(frozen=True, slots=True)
class Situation:
    """What is examined: a run with these parameters, in this folder, with this environment."""

    config: Config
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    folder: Path = Path()
    deadline_s: float = 5.0  # of each check; a check that asks a server gives it a little less

    @property
    def patience_s(self) -> float:
        """How long one question to a server may take."""
        return 0.8 * self.deadline_s

    @property
    def families(self) -> set[str]:
        return {entry.family for entry in self.config.tasks.mix.values()}
