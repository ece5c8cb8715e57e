"""Attempts are reused exactly where playing again would give the same."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import crl
from crl.config import Config, from_mapping
from crl.config.compose import compose
from crl.evaluation.code import GUIDING_ROOMS, IDLE_ROOMS, attempt_key, code_digest, code_that_plays
from crl.types import Task

TASKS = [Task(f"room/train/{seed}", "room", "minihack", "MiniHack-Room-Dark-5x5-v0", seed, 5) for seed in range(2)]


def config_of(*changes: str) -> Config:
    return from_mapping(compose("quick", list(changes)))


@pytest.fixture(scope="module")
def key() -> str:
    return attempt_key(config_of(), TASKS, "digest of the actor")


@pytest.mark.parametrize(
    "change",
    [
        "models.actor.context_tokens=256", "models.actor.dtype=bfloat16", "rollout.sampling.temperature=0.5",
        "rollout.sampling.max_new_tokens=3", "run.seed=8", "envs.observation=grid", "actor.inject=user",
        "actor.ask.max_uses=7", "envs.sandbox.memory_mb=640", "pass_rate.policy=scripted",
    ],
)  # fmt: skip
def test_what_changes_an_attempt_has_it_played_again(key, change):
    assert attempt_key(config_of(change), TASKS, "digest of the actor") != key


def test_a_template_that_is_told_something_else_has_it_played_again(key):
    named = "models.actor.source=owner/model"  # the actor's digest stands for where it came from
    assert attempt_key(config_of(named), TASKS, "digest of the actor") == key
    told = "+models.actor.template_arguments.enable_thinking=false"
    assert attempt_key(config_of(named, told), TASKS, "digest of the actor") != key


@pytest.mark.parametrize(
    "change",
    [
        "pass_rate.attempts=4", "pass_rate.max_tasks=1", "rollout.attempts=9", "rollout.live_episodes=3", "envs.workers=2",
        "envs.sandbox.warm=3", "filter.at_most=0.5", "rounds.count=1", "learn.actor.optimizer.lr=0.1",
        "servers.actor=['http://127.0.0.1:9']",
    ],
)  # fmt: skip
def test_addresses_and_the_number_of_attempts_play_nothing_again(key, change):
    assert attempt_key(config_of(change), TASKS, "digest of the actor") == key


def test_another_actor_and_other_tasks_are_played(key):
    assert attempt_key(config_of(), TASKS, "of another actor") != key
    assert attempt_key(config_of(), [replace(TASKS[0], max_steps=6), TASKS[1]], "digest of the actor") != key


@pytest.mark.parametrize(
    ("file", "matters"),
    [("actor/prompts_full.py", True), ("actor/actions.py", True), ("episode/loop.py", True), ("engine/sampling.py", True),
     ("envs/minihack/env.py", True), ("report/page.py", False), ("round/commit.py", False)],
)  # fmt: skip
def test_a_change_of_code_that_plays_is_another_key_wherever_the_checkout_lies(tmp_path, file, matters):
    copy = tmp_path / "elsewhere" / "crl"
    shutil.copytree(Path(crl.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert code_digest(folder=copy) == code_digest()
    (copy / file).write_text((copy / file).read_text() + "\nCHANGED = True\n")
    assert (code_digest(folder=copy) != code_digest()) is matters


@pytest.mark.parametrize(
    ("changes", "family"),
    [(["actor.prompts=outside:Prompts"], "minihack"), (["envs.observation=outside:style"], "minihack"), ([], "outside:Game")],
)  # fmt: skip
@pytest.mark.parametrize("guided", [False, True])
def test_a_change_of_code_of_another_package_that_plays_is_seen(tmp_path, monkeypatch, changes, family, guided):
    file = tmp_path / "outside.py"
    file.write_text("class Prompts: ...\nclass Game: ...\ndef style(family, env): return env\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "outside", raising=False)
    tasks = [replace(TASKS[0], family=family)]
    before = code_that_plays(config_of(*changes), tasks, guided=guided)
    assert code_that_plays(config_of(*changes), tasks, guided=guided) == before
    file.write_text(file.read_text() + "CHANGED = True\n")
    assert code_that_plays(config_of(*changes), tasks, guided=guided) != before


def test_the_code_of_guidance_counts_for_guided_episodes_alone(tmp_path):
    copy = tmp_path / "crl"
    shutil.copytree(Path(crl.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "bank" / "retrieval.py").write_text("CHANGED = True\n")
    assert code_digest((), IDLE_ROOMS, copy) != code_digest((), IDLE_ROOMS)
    assert code_digest((), IDLE_ROOMS | GUIDING_ROOMS, copy) == code_digest((), IDLE_ROOMS | GUIDING_ROOMS)
