"""What a check is and finds. A check is a small function; the decorator `check` enters it in `CHECKS`."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from crl.config import Config

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw, and what to do about it."""

    check: str
    status: Status
    seen: str
    needed: str = ""
    remedy: str = ""  # set unless the status is ok


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


Examination = Callable[[Situation], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """A named examination, and when the parameters need it."""

    name: str
    examine: Examination
    needed: Callable[[Situation], bool]


CHECKS: dict[str, Check] = {}


def check(name: str, needed: Callable[[Situation], bool] = lambda _: True) -> Callable[[Examination], Examination]:
    """Enter the function as a check. It yields findings, and may raise CrlError, whose message holds the remedy."""

    def enter(function: Examination) -> Examination:
        CHECKS[name] = Check(name, function, needed)
        return function

    return enter
