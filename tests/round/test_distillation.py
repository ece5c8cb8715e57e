"""Distillation within a round: each episode once, also when the unit is run again after a failure."""

import asyncio
from types import SimpleNamespace

import pytest

from crl.config import Config
from crl.config.learn import ExtractorLearningConfig
from crl.errors import EngineError
from crl.extractor.distil import Distillation
from crl.extractor.merge import MergeResult
from crl.extractor.metrics import distil_metrics
from crl.learn.buffer import TrainingBuffer
from crl.replies.refusals import Refusal, RefusalReason
from crl.round import distillation
from crl.round.accounting import in_words
from crl.round.commit import Progress
from crl.round.distillation import Distillery
from crl.types import (
    Completion,
    Episode,
    EpisodeKey,
    Experience,
    Operation,
    OperationKind,
    Origin,
    Outcome,
    Task,
    TimedSpan,
)
from tests.round.runs import small_config

REFUSED, LOST, SLOW, REFUSED_TOO = 0, 1, 2, 3  # what becomes of the episode with this index


class Bank:
    """Keeps what was applied to it."""

    def __init__(self) -> None:
        self.applied: list[str] = []

    def scope_of(self, task: str) -> str:
        return task

    def apply(self, operations, *, origin, **_) -> None:
        self.applied.append(origin.episode)


def episode(index: int) -> Episode:
    task = Task("room/1", "room", "minihack", "level", 1, 5)
    return Episode(EpisodeKey(0, 0, index), task, True, (), Outcome.SUCCESS, 1.0, 1, goal="go")


def parts(config: Config, buffer: TrainingBuffer, bank: Bank) -> SimpleNamespace:
    """What distilling takes of a run's parts; all that was written is learned from."""
    return SimpleNamespace(
        config=config, turnstile=None, extractor=SimpleNamespace(engine=None, chat=None), buffer=buffer, bank=bank,
        run_id="run", guard=None, learns_from=lambda version: True,
    )  # fmt: skip


@pytest.fixture
def config() -> Config:
    return small_config("async", 4, "extractor.invalid_reward=-1")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Episodes that the extractor was asked to distil; it is lost at its first try of `LOST`."""
    asked: list[int] = []

    async def distil(episode: Episode, **_) -> Distillation:
        index = episode.key.index
        asked.append(index)
        if index == LOST and asked.count(LOST) == 1:
            await asyncio.sleep(0.01)
            raise EngineError("the engine was lost")
        if index == SLOW:
            await asyncio.sleep(0.05)
        completion = Completion(f"c{index}", (1,), (2,), (0.0,), "", "stop", 0)
        refusal = Refusal(next(iter(RefusalReason)), "no operations") if index in (REFUSED, REFUSED_TOO) else None
        operations = () if refusal else (Operation(OperationKind.ADD, "look around"),)
        return Distillation(episode.key, completion, (), operations, refusal, TimedSpan("distil", 0.0, 1.0))

    monkeypatch.setattr(distillation, "distil", distil)
    return asked


async def test_a_retried_distillation_goes_on_with_what_still_waits_and_charges_once(config, calls) -> None:
    episodes = tuple(episode(index) for index in (REFUSED, LOST, SLOW, REFUSED_TOO))
    progress, buffer, bank = (
        Progress(to_distil=episodes),
        TrainingBuffer(ExtractorLearningConfig(buffer=8, batch=2)),
        Bank(),
    )
    work = Distillery(parts(config, buffer, bank), progress)
    with pytest.raises(EngineError):
        await work.distil(episodes)
    await work.distil(episodes)  # as Prefect does
    await asyncio.sleep(0.1)  # for whoever might live on
    assert calls.count(REFUSED) == 1
    assert sorted(bank.applied) == [str(episodes[LOST].key), str(episodes[SLOW].key)]
    charged = [item.sample for item in buffer.pop(0)]
    assert [(sample.completion.id, sample.score, sample.uses) for sample in charged] == [
        ("c0", -1.0, 1),
        ("c3", -1.0, 1),
    ]
    assert progress.to_distil == ()
    assert len(work.drain()) == len(episodes)  # each is told once


async def test_what_is_known_to_help_is_given_to_no_merge(monkeypatch) -> None:
    given: list[str] = []

    async def merge(scope: str, entries, **_) -> MergeResult:
        given.extend(entry.id for entry in entries)
        return MergeResult((), ())

    monkeypatch.setattr(distillation, "merge", merge)
    known = [Experience(id_, "room", id_, "key", Origin("c", "e", 0, "distil")) for id_ in ("proven", "unsure")]
    bank = SimpleNamespace(
        entries=lambda scope=None: known,
        memory=SimpleNamespace(helpful=lambda certainty: {} if certainty is None else {"proven": None}),
    )
    for spare, expected in (("null", ["proven", "unsure"]), ("0.9", ["unsure"])):
        config = small_config("async", 4, f"extractor.merge.spare={spare}")
        work = Distillery(parts(config, None, bank), Progress())
        metrics = await work.merge(5)
        assert given == expected
        assert metrics["merge/spared"] == 2 - len(expected)
        given.clear()


async def test_a_round_says_how_many_episodes_no_prompt_was_short_enough_for_and_goes_on(config, monkeypatch) -> None:
    async def too_long(episode: Episode, **_) -> Distillation:
        refusal = Refusal(RefusalReason.PROMPT_TOO_LONG, "99 tokens")
        return Distillation(episode.key, None, (), (), refusal, TimedSpan("distil", 0.0, 1.0))

    monkeypatch.setattr(distillation, "distil", too_long)
    progress, buffer, bank = (
        Progress(to_distil=(episode(0),)),
        TrainingBuffer(ExtractorLearningConfig(buffer=8, batch=2)),
        Bank(),
    )
    work = Distillery(parts(config, buffer, bank), progress)
    await work.distil(progress.to_distil)
    assert (progress.to_distil, bank.applied, len(buffer)) == ((), [], 0)  # nothing waits, nothing is charged
    told = in_words("Round 0", distil_metrics(work.drain()))
    assert "episodes not distilled, since no prompt fits the context: 1" in told
    assert "models.extractor.context_tokens" in told
