"""What guided episodes are shown in the place of an experience: the oracle's rule, or earlier episodes in half of the context."""

from dataclasses import replace

import pytest

from crl.episode.guidance import check_oracles
from crl.episode.recollections import Recollections
from crl.errors import ConfigError
from crl.models.chat import ChatFormat
from crl.types import GateDecision
from tests.episode.test_rollout import Library, always, config_for, episodes

NO_BANK = {"extractor__until_round": 0}


def walks(family: str) -> dict:
    return {"walk": {"family": f"tests.envs.toy_envs:{family}", "level": "corridor", "max_steps": 6}}


async def test_an_oracle_tells_guided_episodes_their_instances_rule_past_the_bank(chat: ChatFormat) -> None:
    config = config_for(tasks__mix=walks("TellingCorridor"), actor__guidance="oracle", **NO_BANK)
    check_oracles(config)
    library = Library()
    shown = {"retriever": library, "guidance": config.actor.guidance}
    [guided], _ = await episodes(config, chat, always("right"), guided=True, **shown)
    [free], _ = await episodes(config, chat, always("right"), guided=False, **shown)
    assert guided.guidance.shown == "walk right"
    assert "walk right" in chat.decode(guided.turns[0].completion.prompt_ids)
    assert (guided.guidance.entry_ids, guided.guidance.decision) == ((), GateDecision.OFF)
    assert free.guidance is None
    assert library.asked == []


def test_a_family_without_an_oracle_is_named() -> None:
    config = config_for(actor__guidance="oracle", **NO_BANK)
    with pytest.raises(ConfigError, match=r"family '.*Corridor' of tasks.mix.walk has no rule.*Remedy"):
        check_oracles(config)


async def test_as_many_earlier_episodes_are_shown_as_fit_into_half_of_the_context(chat: ChatFormat) -> None:
    config = config_for(actor__guidance="transcripts", **NO_BANK)
    [earlier], _ = await episodes(config, chat, always("left", "right"))
    memory = Recollections(config.actor)
    for number in range(3):
        memory.add("walk", replace(earlier, final_observation=f"episode {number}"))
    shown = {"retriever": Library(), "guidance": "transcripts", "recollections": memory, "guided": True}
    counts = []
    for room in (100_000, 500, 400, 300, 250, 200, 150, 100, 60, 40):
        [end], _ = await episodes(config, chat, always("right"), room=room, **shown)
        counts.append(end.guidance.recalled if end.guidance.shown else 0)
        assert len(end.turns[0].completion.prompt_ids) <= room // 2 or not end.guidance.shown
        if end.guidance.shown:
            assert "episode 2" in end.guidance.shown.partition("\n")[0]  # the newest comes first
    assert counts == sorted(counts, reverse=True)
    assert set(counts) == {3, 2, 1, 0}
    assert end.guidance.decision is GateDecision.TOO_LONG


async def test_the_same_situation_comes_first_and_nothing_is_recalled_of_another_task(chat: ChatFormat) -> None:
    config = config_for(actor__guidance="transcripts", actor__transcripts=2, **NO_BANK)
    [episode], _ = await episodes(config, chat, always("right"))
    first, elsewhere = episode.turns[0], replace(episode.turns[0], observation="another place")
    memory = Recollections(config.actor)
    for number, turn in enumerate((first, elsewhere, elsewhere)):
        memory.add("walk", replace(episode, turns=(turn,), final_observation=f"end {number}"))
    found = memory.recall("walk", f"{episode.goal}\n{first.observation}")
    assert [text.rpartition(" ")[2] for text in found] == ["0", "2"]
    assert memory.recall("swim", "") == []
    assert memory.offers("swim", "q")[0].decision is GateDecision.EMPTY
