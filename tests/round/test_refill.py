"""Rounds that are refilled: numbered on, played once, the same bytes again, also after a kill, and wherever shards are played."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pytest

from crl.config import Config
from crl.round.coevolution import CoEvolution
from crl.round.hooks import PLAIN, Hooks, run_plainly
from crl.round.refill import further_groups
from crl.tasks.sets import TaskSets
from crl.types import Episode, EpisodeFailure, EpisodeKey
from tests.episode.test_mix import config, episodes
from tests.round import runs

FOLLOWING = ("tasks.follow_signal=0.8", "rollout.guided_share=utility")
REFILLED = ("rollout.refill.extra_groups=4", "rollout.shards=2", *FOLLOWING)


@dataclass(frozen=True)
class Round:
    metrics: dict[str, float]
    ends: list[Episode | EpisodeFailure]
    actor: int  # versions after it
    extractor: int


@pytest.mark.parametrize(
    ("halves", "signal", "extra", "more"),
    [
        (["01 01", "01 01", "01 01"], 1.0, 9, 0),  # all that was planned carries signal
        (["01 01", "01 11", "00 11"], 1.0, 9, 3),  # 3 of 6 in three groups: one a group, three are missing
        (["01 01", "01 11", "00 11"], 0.5, 9, 0),
        (["00 11", "01 11", "00 11"], 1.0, 9, 9),  # 1 of 6: it would take 15 groups
        (["00 11", "00 11", "00 11"], 1.0, 2, 2),
        (["00 11", "00 11", "00 11"], 1.0, 0, 0),
    ],
)
def test_as_many_groups_follow_as_are_expected_to_bring_what_is_missing(
    halves: Sequence[str], signal: float, extra: int, more: int
) -> None:
    size = ("rollout.groups=3", "rollout.group_size=4", "rollout.free_per_group=2")
    rollout = config(*size, f"rollout.refill={{signal: {signal}, extra_groups: {extra}}}").rollout
    ends = [end for group, half in enumerate(halves) for end in episodes("room", group, *half.split())]
    assert further_groups(rollout, 3, ends) == more
    assert further_groups(rollout, 3 + extra, ends) == 0


def test_subgroups_of_one_are_not_waited_for() -> None:
    rollout = config("rollout.free_per_group=7", "rollout.groups=2", "rollout.refill.extra_groups=5").rollout
    ends = episodes("room", 0, "0101010", "1") + episodes("room", 1, "0101010", "0")
    assert further_groups(rollout, 2, ends) == 0


async def played(changed: Config, folder: Path, rounds: int | None = None, hooks: Hooks = PLAIN) -> list[Round]:
    """As far as `rounds`, None: to the end."""
    base = {role: folder / "models" / role for role in ("actor", "extractor")}
    tasks, seen = TaskSets.generate(changed), []
    run = CoEvolution.open(changed, folder=folder / "run", tasks=tasks, hooks=hooks, **base)
    try:
        while run.next_round < (rounds or run.rounds_total):
            report = await run.play_round()
            ends = sorted(run.ends, key=lambda end: end.key)
            seen.append(Round(report.metrics, ends, run.parts.actor.version, run.parts.extractor.version))
        return seen
    finally:
        await run.close()


def test_a_refilled_run_gives_the_same_bytes_uninterrupted_and_resumed(folder: Path, tmp_path: Path) -> None:
    refilled, names = runs.small_config("lockstep", 3, *REFILLED), []

    async def note(name, unit):
        names.append(name)
        return await run_plainly(name, unit)

    rounds = asyncio.run(played(refilled, folder, hooks=Hooks(run_unit=note)))
    (other := tmp_path / "other").mkdir()
    (other / "models").symlink_to(folder / "models")
    for some in (2, None):  # each in a process of its own, as far as a run can tell
        asyncio.run(played(refilled, other, some))
    assert runs.digests(other) == runs.digests(folder)

    size, planned = refilled.rollout.group_size, refilled.rollout.groups
    for number, one in enumerate(rounds):
        groups = int(one.metrics["rollout/groups"])
        keys = [EpisodeKey(number, group, index) for group in range(groups) for index in range(size)]
        assert [end.key for end in one.ends] == keys  # numbered on, so that random streams are their own
        enough = one.metrics["rollout/signal_subgroups"] >= 2 * planned
        assert (
            groups == planned if number == 0 else enough or groups == planned + 4
        )  # the bank's warm-up is not refilled
    assert max(one.metrics["rollout/groups"] for one in rounds) > planned, "nothing was refilled"

    shards = [name for name in names if name.startswith("rollout-")]
    assert shards[:4] == ["rollout-shard-0", "rollout-shard-1"] * 2
    assert shards[4] == f"rollout-refill-{planned}"  # by the first of its groups


def test_async_distils_and_trains_what_was_added(folder: Path) -> None:
    refilled = runs.small_config("async", 2, *REFILLED, "learn.actor.flat_groups=count", "rounds.bank_warmup=0")

    async def play() -> tuple[list[dict[str, float]], float]:
        run, told, guided = runs.open_run(refilled, folder), [], 0
        while run.next_round < run.rounds_total:
            told.append((await run.play_round()).metrics)
            guided += sum(end.guided for end in run.ends)
        told.append((await run.finish()).metrics)
        assert run.progress.to_distil == run.progress.for_actor == ()
        await run.close()
        return told, guided

    told, guided = asyncio.run(play())
    assert sum(metrics["distil/completions"] for metrics in told) == guided
    learned = [metrics["rollout/groups"] for metrics in told[:2]]
    assert [metrics["actor/groups"] for metrics in told[1:]] == learned
    assert max(learned) > refilled.rollout.groups, "nothing was refilled"


@pytest.mark.parametrize(("size", "free"), [(2, 1), (2, 0), (2, 2), (4, 1)])
def test_every_split_of_a_group_can_be_played(size: int, free: int, folder: Path) -> None:
    split = f"rollout.group_size={size}", f"rollout.free_per_group={free}", "rounds.bank_warmup=0"
    if not free:  # without a control nothing is measured that could be chosen or retired by
        split = (*split, "retrieval.rule=newest", "bank.retire.certainty=null", "bank.evict=fifo")
    (one,) = asyncio.run(played(runs.small_config("lockstep", 1, *split), folder))
    assert [end.guided for end in one.ends] == [index >= free for _ in range(3) for index in range(size)]
    halves = [half for half in (free, size - free) if half]
    assert one.metrics["actor/subgroups"] == 3 * len(halves)
    if max(halves) == 1:
        assert one.metrics["actor/signal_sequences"] == 0


def test_in_its_head_start_the_extractor_alone_learns_though_episodes_are_guided(folder: Path) -> None:
    head_start = ("rounds.extractor_head_start=2", "rounds.bank_warmup=1", *REFILLED, "learn.extractor.batch=2")
    rounds = asyncio.run(played(runs.small_config("lockstep", 4, *head_start), folder))
    assert [one.actor for one in rounds] == [0, 0, 0, 1]
    assert rounds[2].extractor > 0
    assert [any(end.guidance for end in one.ends) for one in rounds] == [False, True, True, True]
    assert [one.metrics["rollout/groups"] for one in rounds[:3]] == [3, 3, 3]  # who does not learn needs no signal


def test_a_round_that_internalises_trains_guided_successes_in_the_free_episodes_prompt(folder: Path) -> None:
    taught = runs.small_config("lockstep", 2, "learn.actor.internalise=1")
    _, one = asyncio.run(played(taught, folder))
    openings = {end.key.group: end.turns[0].completion.prompt_ids for end in one.ends if not end.guided}
    shown = [end for end in one.ends if end.guidance and end.guidance.shown]
    assert shown
    assert all(end.opening_without_experience == openings[end.key.group] for end in shown)
    assert all(end.turns[0].completion.prompt_ids != end.opening_without_experience for end in shown)
    assert not any(end.opening_without_experience for end in one.ends if end not in shown)
    free_rate = {g: fmean(end.reward for end in one.ends if end.key.group == g and not end.guided) for g in openings}
    expected = sum(end.success and free_rate[end.key.group] < 1 for end in shown)
    assert one.metrics["actor/internalised"] == expected > 0
