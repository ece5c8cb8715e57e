"""The extractor's training buffer, keyed by completion (method 2.3, 2.4).

A completion's reward is the mean over all episodes that used one of its experiences while it waits here.
Completions that were trained before come back when their experiences are used again; their weight then
falls with the times they were trained.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from crl.config.learn import ExtractorLearningConfig
from crl.errors import DataError
from crl.types import Completion


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion with the scores it collected since it entered the buffer."""

    completion: Completion
    score_sum: float
    uses: int
    entered_round: int

    @property
    def score(self) -> float:
        return self.score_sum / self.uses


@dataclass(frozen=True, slots=True)
class Trained:
    """How often a completion was trained, and when last."""

    count: int
    last_round: int


@dataclass(frozen=True, slots=True)
class WeightedSample:
    """A popped sample and its repeat weight."""

    sample: Sample
    weight: float


class TrainingBuffer:
    """Ordered by entry; not thread-safe: its owner is the round."""

    def __init__(self, *, capacity: int, batch: int, cooldown_rounds: int = 0, repeat_power: float = 0.5) -> None:
        self._capacity, self._batch = capacity, batch
        self._cooldown_rounds, self._repeat_power = cooldown_rounds, repeat_power
        self._samples: OrderedDict[str, Sample] = OrderedDict()
        self._trained: dict[str, Trained] = {}
        self._evicted = 0

    @classmethod
    def of(cls, config: ExtractorLearningConfig) -> "TrainingBuffer":
        return cls(
            capacity=config.buffer,
            batch=config.batch,
            cooldown_rounds=config.cooldown_rounds,
            repeat_power=config.repeat_power,
        )

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def evicted(self) -> int:
        """Samples lost to capacity since the run began."""
        return self._evicted

    @property
    def ready(self) -> bool:
        return len(self._samples) >= self._batch

    def credit(self, completion: Completion, score: float, round: int) -> None:
        """Add one score; a completion that is not waiting enters at the end, the oldest goes if it is full."""
        held = self._samples.get(completion.id)
        if held is not None:
            self._samples[completion.id] = replace(held, score_sum=held.score_sum + score, uses=held.uses + 1)
            return
        self._samples[completion.id] = Sample(completion, score, 1, round)
        if len(self._samples) > self._capacity:
            self._samples.popitem(last=False)
            self._evicted += 1

    def pop(self, round: int) -> tuple[WeightedSample, ...]:
        """Take the oldest batch, with repeat weights as of `round`. Raises ValueError when not `ready`."""
        if not self.ready:
            raise ValueError(f"{len(self)} of {self._batch} samples. Remedy: pop when `ready`")
        taken = [self._samples.popitem(last=False)[1] for _ in range(self._batch)]
        return tuple(WeightedSample(sample, self._weight(sample.completion.id, round)) for sample in taken)

    def record_training(self, samples: Iterable[WeightedSample], round: int) -> None:
        """Remember an update that was made: each sample that had weight counts once."""
        for item in samples:
            if item.weight > 0:
                key = item.sample.completion.id
                self._trained[key] = Trained(self.train_count(key) + 1, round)

    def train_count(self, completion_id: str) -> int:
        trained = self._trained.get(completion_id)
        return trained.count if trained else 0

    def rows(self) -> list[dict[str, Any]]:
        """Everything as JSON-able rows, exactly; `load_rows` reads them back, also after a trip through JSON."""
        samples = [{"row": "sample", **asdict(sample)} for sample in self._samples.values()]
        trained = [{"row": "trained", "id": key, **asdict(value)} for key, value in self._trained.items()]
        return [*samples, *trained, {"row": "evicted", "count": self._evicted}]

    def load_rows(self, rows: Sequence[dict[str, Any]]) -> None:
        """Replace the content by `rows`. Raises DataError for rows of another kind."""
        self._samples.clear()
        self._trained.clear()
        for row in rows:
            match row:
                case {"row": "sample", "completion": completion, **fields}:
                    sample = Sample(_completion(completion), **fields)
                    self._samples[sample.completion.id] = sample
                case {"row": "trained", "id": key, **fields}:
                    self._trained[key] = Trained(**fields)
                case {"row": "evicted", "count": count}:
                    self._evicted = count
                case _:
                    raise DataError(f"buffer row {row!r}: of no known kind. Remedy: load what TrainingBuffer.rows gave")

    def _weight(self, completion_id: str, round: int) -> float:
        """0 while cooling down, else (1 + times trained)^-power."""
        trained = self._trained.get(completion_id)
        if trained is None:
            return 1.0
        if round - trained.last_round < self._cooldown_rounds:
            return 0.0
        return (1 + trained.count) ** -self._repeat_power


def _completion(fields: dict[str, Any]) -> Completion:
    sequences = {name: tuple(fields[name]) for name in ("prompt_ids", "token_ids", "logprobs")}
    return Completion(**{**fields, **sequences})
