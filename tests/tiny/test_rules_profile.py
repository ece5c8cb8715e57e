"""The profile `rules`, small: its language, and rounds in which rules are written, found again and credited."""

import asyncio
from pathlib import Path

import pytest

from crl.config.compose import composed
from crl.envs.registry import make_env
from crl.episode.situation import situation
from crl.episode.tally import SILENT
from crl.extractor.operations import parse_operations
from crl.extractor.prompts import extractor_prompts
from crl.models.chat import ChatFormat
from crl.replies.screening import TextLimits
from crl.round.coevolution import CoEvolution
from crl.seeding import stream
from crl.tasks.sets import TaskSets
from crl.tiny.casting import casts
from crl.tiny.scripts import script_of
from crl.tiny.taught_replies import random_exchange
from crl.tiny.warm_start import School, warm_start
from crl.types import OperationKind

SMALL = [
    "tasks.eval_levels=4", "tasks.mix.rules_new.eval_levels=4", "models.actor.hidden_size=32", "models.actor.layers=1",
    "warm_start.episodes_per_task=60", "warm_start.actor_steps=40", "warm_start.extractor_steps=250",
    "rollout.groups=3", "rollout.live_episodes=24", "learn.extractor.batch=6", "learn.extractor.buffer=64",
    "rounds.count=3",
]  # fmt: skip


@pytest.fixture(scope="module")
def config():
    return composed("rules", SMALL, Path(__file__).parents[2] / "conf")


@pytest.fixture(scope="module")
def tasks(config):
    return TaskSets.generate(config)


@pytest.fixture(scope="module")
def school(config, tasks):
    return School.of(config, tasks, SILENT)


def test_advice_names_the_kind_of_room_and_is_played_as_told(config, tasks, school):
    assert {episode.task.name for episode in school.episodes} == {"rules"}  # the other entry has weight 0
    for episode in school.episodes:
        if episode.guidance is not None:
            kind, action, advice = (
                episode.turns[0].observation.split()[:3],
                episode.turns[0].action,
                episode.guidance.shown,
            )
            assert advice.startswith("in the {} with {} and {} ".format(*kind))
            assert f"avoid the {action} door" not in advice
            assert "take the" not in advice or f"take the {action} door" in advice


def test_every_word_of_the_language_is_one_token(config, tasks, school):
    chat, script = ChatFormat(school.tokenizer), script_of("rules", "known")
    env = make_env("rules", "slots")
    for task in list(tasks.train["rules"])[:200]:
        text = env.reset(task).text
        told = script.told(script.skills["take_red"], text)
        for sentence in (text, told):
            assert len(chat.encode(f"x {sentence}")) == 1 + len(sentence.split())


def test_the_extractor_is_taught_to_word_what_it_saw_and_not_what_is_true(config, tasks, school):
    rng, prompts = stream(0, "test"), extractor_prompts(config.extractor.prompts)
    limits = TextLimits(prompts.min_chars, config.bank.max_entry_chars)
    parts, verdicts = casts(config, tasks), set()
    for episode in school.episodes[:150]:
        messages, reply = random_exchange(config, {"rules": [episode]}, parts, rng)
        if not messages[-1].content.startswith("distil"):
            continue
        seen, doors = episode.turns[0].observation, (episode.turns[0].action, episode.final_observation[4:])
        assert messages[-1].content.endswith(f"now: {seen} {doors[0]} out:{doors[1]}")
        parsed = parse_operations(reply, ("id-1",), form=prompts.form, max_operations=3, limits=limits)
        assert parsed.refusal is None
        for operation in parsed.items:
            if operation.kind is not OperationKind.RETURN:
                about = "in the {} with {} and {} ".format(*seen.split()[:3])
                verdict = operation.text.removeprefix(about)
                allowed = [f"{verb} the {door} door" for verb in ("take", "avoid") for door in doors]
                assert verdict in ("take any door", *allowed)
                verdicts.add((verdict.split()[0], f"{doors[1]} door" in verdict, episode.success))
    assert verdicts >= {("take", True, False), ("take", False, False), ("avoid", True, False), ("avoid", True, True)}


def test_rules_are_written_found_again_for_their_kind_and_credited(config, tasks, tmp_path):
    warm_start(config, tasks, tmp_path / "models")
    folders = {role: tmp_path / "models" / role for role in ("actor", "extractor")}

    async def play():
        run = CoEvolution.open(config, folder=tmp_path / "run", tasks=tasks, **folders)
        try:
            reports = [await run.play_round() for _ in range(run.rounds_total)]
            return reports, list(run.parts.bank.entries())
        finally:
            await run.close()

    reports, entries = asyncio.run(play())
    assert all(report.metrics["distil/valid_share"] > 0.5 for report in reports)
    assert reports[-1].metrics["rollout/shown_share"] == 1.0
    assert {entry.task for entry in entries} == {"shared"}
    assert "rollout/rules_new_success_free" not in reports[-1].metrics  # weight 0: evaluated alone
    env = make_env("rules", "slots")
    first = env.reset(tasks.train["rules"][0])
    goal = situation(first.goal, "").strip()
    assert all(entry.key_text.startswith(goal) for entry in entries)
