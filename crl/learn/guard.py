"""Takes an update of the extractor back when the share of its valid replies collapses (`learn.extractor.guard`).

What the extractor writes is scored by later episodes, but a reply that no parser accepts is scored by nobody, or at a fixed
cost: a policy gradient at a high learning rate can lose the syntax within a few updates, and then nothing is left to learn from.
New weights are therefore on trial until enough of their replies were read, and learn nothing meanwhile. Either they are
found good, and are kept as what to go back to; or the last good weights and their optimiser come back as the next version.
A run's last update is followed by no reply, so nobody judges it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from crl.config.learn import GuardConfig
from crl.errors import DataError
from crl.learn.learner import Learner

# Of the newest judgement in the running level. A fall of 3 points a version is found when the level is ten versions behind;
# at 48 replies a round, the binomial noise of one judgement (4 points at 90 %) moves the level by less than one.
LEVEL_WEIGHT = 0.1

log = logging.getLogger(__name__)


class Verdict(StrEnum):
    """What is to be done before the newest weights are trained again."""

    TRAIN = "train"
    WAIT = "wait"  # too few of their replies were read: nothing
    KEEP = "keep"  # `Guard.keep` them, then train
    TAKE_BACK = "take_back"  # `Guard.take_back`


@dataclass
class Trial:
    """What is known of the weights by their replies; part of a checkpoint."""

    good: int = 0  # the version whose weights are kept
    level: float | None = None  # running share of valid replies, of good versions; None: none was judged yet
    version: int = 0  # whose replies are counted
    valid: int = 0
    replies: int = 0  # of that version, since it was last judged
    undone: list[tuple[int, int]] = field(
        default_factory=list
    )  # first and last version, of weights that were taken back


_TRIAL = TypeAdapter(Trial)


class Guard:
    """Of one learner, which has a trainer. Its owner is the round; only `keep` and `take_back` may run in a thread."""

    def __init__(self, config: GuardConfig, learner: Learner) -> None:
        self._config, self._learner = config, learner
        self.trial = Trial()
        learner.trainer.keep()

    def observe(self, version: int, *, valid: bool) -> None:
        """Count a reply, unless weights wrote it that are no longer the newest."""
        if version != self._learner.version:
            return
        if version != self.trial.version:
            self._count_anew(version)
        self.trial.valid += valid
        self.trial.replies += 1

    def undid(self, version: int) -> bool:
        """Whether the weights of this version were taken back."""
        return any(first <= version <= last for first, last in self.trial.undone)

    def judge(self) -> tuple[Verdict, dict[str, float]]:
        """By the replies read since the last judgement; with the metrics `extractor/guard_*`. Each reply is judged once."""
        trial, version = self.trial, self._learner.version
        same = version == trial.good
        if trial.version != version or trial.replies < self._config.replies:
            verdict = Verdict.TRAIN if same and trial.level is not None else Verdict.WAIT
            return verdict, self._metrics(verdict, None)
        share = trial.valid / trial.replies
        fell = trial.level is not None and share < trial.level * (1 - self._config.fall)
        verdict = Verdict.TRAIN if same else Verdict.TAKE_BACK if fell else Verdict.KEEP
        metrics = self._metrics(verdict, share)
        if fell and same:  # by no update: what they are asked has changed, and with it what can be expected
            trial.level = share
        elif not fell:
            trial.level = share if trial.level is None else trial.level + LEVEL_WEIGHT * (share - trial.level)
        self._count_anew(version)
        return verdict, metrics

    def keep(self) -> None:
        """Copy the newest weights and their optimiser, as what to go back to."""
        self._learner.trainer.keep()
        self.trial.good = self._learner.version

    def take_back(self) -> float:
        """Put the kept weights and their optimiser back, in trainer and engine, as the next version; returns the sync's seconds."""
        trial, first, last = self.trial, self.trial.good + 1, self._learner.version
        seconds = self._learner.take_back()
        log.warning(
            "extractor: too few replies of version %d are valid, so the weights of version %d are back, as version %d. Remedy "
            "where this comes again: a lower learn.extractor.optimizer.lr, a higher kl_coef, or extractor.invalid_reward",
            last, trial.good, self._learner.version,
        )  # fmt: skip
        trial.undone.append((first, last))
        trial.good = self._learner.version
        self._count_anew(trial.good)
        return seconds

    def saving(self) -> Callable[[Path], None]:
        """What writes the trial as it is now, and the kept weights and their optimiser, before others are kept."""
        trial = _TRIAL.dump_json(self.trial)

        def save(folder: Path) -> None:
            self._learner.trainer.save_kept(folder)
            (folder / "trial.json").write_bytes(trial)

        return save

    def load(self, folder: Path) -> None:
        """Raises DataError for anything but what `saving` wrote."""
        try:
            self.trial = _TRIAL.validate_json((folder / "trial.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise DataError(f"{folder / 'trial.json'}: {error}. Remedy: load what Guard.saving wrote") from None
        self._learner.trainer.load_kept(folder)

    def _count_anew(self, version: int) -> None:
        self.trial.version, self.trial.valid, self.trial.replies = version, 0, 0

    def _metrics(self, verdict: Verdict, share: float | None) -> dict[str, float]:
        """The level is the one that was judged by. What is not known is left out: absent is not zero."""
        known = {"extractor/guard_share": share, "extractor/guard_level": self.trial.level}
        flags = {"waits": Verdict.WAIT, "taken_back": Verdict.TAKE_BACK}
        return {name: value for name, value in known.items() if value is not None} | {
            f"extractor/guard_{name}": float(verdict is meant) for name, meant in flags.items()
        }
