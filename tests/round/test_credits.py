"""Credits of a round: everyone who wrote what was shown, as long as the extractor still learns from them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from crl.bank.bank import Bank
from crl.bank.effect import uses_of
from crl.config.learn import ExtractorLearningConfig
from crl.learn.buffer import TrainingBuffer
from crl.round.credit import Credits
from crl.types import Episode, EpisodeKey, GateDecision, Guidance, Origin, Outcome, Task
from tests.bank.samples import add, completion, open_bank
from tests.round.runs import small_config

TEXT, KEY = "look around", EpisodeKey(1, 0, 4)


@pytest.fixture
def bank(tmp_path: Path):
    bank = open_bank(tmp_path)
    yield bank
    bank.close()


def write(bank: Bank, *versions: int) -> str:
    """The text, once a round by weights of these versions, by completions c0, c1, ...; returns its entry."""
    for round_, version in enumerate(versions):
        origin = Origin(f"c{round_}", f"r{round_}.g0.e4", round_, "distil")
        wrote = replace(completion(f"c{round_}"), version=version)
        [entry_id] = bank.apply([add(TEXT)], scope="room", key_text="a room", origin=origin, completion=wrote).added
    return entry_id


def played(entry_id: str | None, key: EpisodeKey = KEY, *, won: bool = True) -> Episode:
    """Shown the entry, or free."""
    guidance = Guidance("q", GateDecision.OFF, (entry_id,), (TEXT,), TEXT) if entry_id else None
    outcome = Outcome.SUCCESS if won else Outcome.TIMEOUT
    task = Task("room/1", "room", "minihack", "level", 1, 5)
    return Episode(key, task, entry_id is not None, (), outcome, float(won), 1, guidance)


def credited(bank: Bank, *episodes: Episode, reward: str = "outcome", fresh=lambda version: True) -> dict[str, float]:
    """Score by completion."""
    config = small_config("lockstep", 4, f"extractor.reward={reward}", "extractor.probe_pairs=1")
    buffer = TrainingBuffer(ExtractorLearningConfig(buffer=9, batch=2))
    parts = SimpleNamespace(config=config, buffer=buffer, bank=bank, learns_from=fresh)
    metrics = Credits(parts, {episodes[0].guidance.entry_ids[0]: [0.5, 0.0]}).give(episodes, 1)
    scores = {}
    while len(buffer) > 1:
        scores |= {item.sample.completion.id: item.sample.score for item in buffer.pop(1)}
    assert metrics == {"extractor/credited": len(scores) + len(buffer)}
    return scores


def test_all_who_wrote_an_entry_are_credited_but_nobody_who_wrote_it_after_the_episode(bank) -> None:
    assert credited(bank, played(write(bank, 0, 0, 0))) == {"c0": 1.0, "c1": 1.0}


def test_who_wrote_it_with_weights_that_nothing_is_learned_from_is_not_credited(bank) -> None:
    entry_id = write(bank, 0, 3, 4)
    late = replace(played(entry_id), key=EpisodeKey(2, 0, 4))
    config = small_config()
    buffer = TrainingBuffer(ExtractorLearningConfig(buffer=9, batch=2))
    parts = SimpleNamespace(config=config, buffer=buffer, bank=bank, learns_from=lambda version: version >= 3)
    credits = Credits(parts, {})
    assert credits.give([late], 2) == {"extractor/credited": 2.0}
    parts.learns_from = lambda version: version >= 4  # an update later
    assert credits.give([late], 2) == {"extractor/credited": 1.0}
    assert [(item.sample.completion.id, item.sample.uses) for item in buffer.pop(2)] == [("c1", 1), ("c2", 2)]


def test_rewards_are_told_the_free_half_the_effect_and_the_probes(bank) -> None:
    entry_id = write(bank, 0, 0)
    free = [played(None, EpisodeKey(1, 0, i), won=i == 0) for i in range(4)]
    episodes = [played(entry_id), *free]
    assert credited(bank, *episodes, reward="difference") == {"c0": 0.75, "c1": 0.75}
    assert credited(bank, *episodes, reward="probe") == {"c0": 0.75, "c1": 0.75}  # 1 - mean(0.5, 0)
    assert credited(bank, *episodes, reward="effect") == {}  # nothing is measured yet
    bank.record_uses(uses_of(episodes))
    assert set(credited(bank, *episodes, reward="effect").values()) == {bank.effect(entry_id).mean}
