"""What one round leaves behind for people: metrics, the bank's best and worst entries, sampled episodes."""

from dataclasses import dataclass

from crl.episode.transcripts import Trace, Transcript


@dataclass(frozen=True, slots=True)
class EffectRow:
    """An experience with its measured causal effect on success (guided minus free, same levels)."""

    id: str
    task: str
    text: str
    mean: float
    low: float
    high: float
    groups: int
    shown: int


@dataclass(frozen=True, slots=True)
class RoundReport:
    round: int
    metrics: dict[str, float]
    learned: str  # one sentence on this round
    best: tuple[EffectRow, ...] = ()
    worst: tuple[EffectRow, ...] = ()
    transcripts: tuple[Transcript, ...] = ()
    traces: tuple[Trace, ...] = ()
    closing: bool = False  # what the last round carried over was done; `round` is then the number of rounds
