"""The extractor's training buffer, keyed by completion (method 2.3, 2.4).

A completion's reward is the mean over all episodes that used one of its experiences while it waits here.
Completions that were trained before come back when their experiences are used again; their weight then
falls with the times they were trained.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from pydantic import ConfigDict, TypeAdapter, ValidationError

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


_STORED = TypeAdapter(tuple[tuple[Sample, ...], dict[str, Trained]], config=ConfigDict(ser_json_inf_nan="constants"))


class TrainingBuffer:
    """Ordered by entry; not thread-safe: its owner is the round."""

    def __init__(self, config: ExtractorLearningConfig) -> None:
        self._config = config
        self._samples: OrderedDict[str, Sample] = OrderedDict()
        self._trained: dict[str, Trained] = {}

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def ready(self) -> bool:
        return len(self._samples) >= self._config.batch

    def credit(self, completion: Completion, score: float, round: int) -> None:
        """Add one score; a completion that is not waiting enters at the end, the oldest goes if it is full."""
        held = self._samples.get(completion.id)
        if held is not None:
            self._samples[completion.id] = replace(held, score_sum=held.score_sum + score, uses=held.uses + 1)
            return
        self._samples[completion.id] = Sample(completion, score, 1, round)
        if len(self._samples) > self._config.buffer:
            self._samples.popitem(last=False)

    def drop(self, is_fresh: Callable[[int], bool]) -> int:
        """Remove the samples whose version is not fresh; returns how many."""
        stale = [key for key, sample in self._samples.items() if not is_fresh(sample.completion.version)]
        for key in stale:
            del self._samples[key]
        return len(stale)

    def pop(self, round: int) -> tuple[WeightedSample, ...]:
        """Take the oldest batch, with repeat weights as of `round`. Raises ValueError when not `ready`."""
        if not self.ready:
            raise ValueError(f"{len(self)} of {self._config.batch} samples. Remedy: pop when `ready`")
        taken = [self._samples.popitem(last=False)[1] for _ in range(self._config.batch)]
        return tuple(WeightedSample(sample, self._weight(sample.completion.id, round)) for sample in taken)

    def record_training(self, samples: Iterable[WeightedSample], round: int) -> None:
        """Remember an update that was made: each sample that had weight counts once."""
        for item in samples:
            if item.weight > 0:
                key = item.sample.completion.id
                before = self._trained.get(key)
                self._trained[key] = Trained(before.count + 1 if before else 1, round)

    def dump(self) -> bytes:
        """Everything as compact JSON, floats exact: a paper's buffer holds millions of token ids."""
        return _STORED.dump_json((tuple(self._samples.values()), self._trained))

    def load(self, dumped: bytes) -> None:
        """Replace the content by what `dump` gave. Raises DataError for anything else."""
        try:
            samples, self._trained = _STORED.validate_json(dumped)
        except ValidationError as error:
            raise DataError(f"training buffer: {error}. Remedy: load what TrainingBuffer.dump gave") from None
        self._samples = OrderedDict((sample.completion.id, sample) for sample in samples)

    def _weight(self, completion_id: str, round: int) -> float:
        """0 while cooling down, else (1 + times trained)^-power."""
        trained = self._trained.get(completion_id)
        if trained is None:
            return 1.0
        if round - trained.last_round < self._config.cooldown_rounds:
            return 0.0
        return (1 + trained.count) ** -self._config.repeat_power
