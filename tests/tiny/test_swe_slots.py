"""The `slots` style and scripted play: a choice between four real edits, and what experience can teach about it."""

import pytest

from crl.config.compose import composed
from crl.envs.contract import TextEnv
from crl.envs.swe.env import SweEnv
from crl.envs.swe.instances import from_payload
from crl.envs.swe.local.repositories import instances
from crl.envs.swe.scripted import scripted_attempt, success_chance
from crl.envs.swe.tools import Call, parse
from crl.errors import ConfigError
from crl.seeding import stream
from crl.tasks.sets import TaskSets
from crl.tiny.casting import casts
from crl.tiny.scripts import script_of
from crl.tiny.scripts.swe import SKILLS
from crl.tiny.slots import swe as style
from crl.types import Outcome
from tests.envs.swe_tasks import CONFIG, demand_engine, local_task, local_tasks


@pytest.fixture(scope="module")
def slots():
    demand_engine()
    env = style.SweSlots(SweEnv(CONFIG))
    yield env
    env.close()


def play(env: TextEnv, task, skill: str, rng_seed: int = 0):
    """Returns the actions and the last result; every sentence is checked against the vocabulary."""
    policy = SKILLS[skill].start(stream("test", skill, rng_seed))
    observation, actions = env.reset(task), []
    while True:
        assert set(observation.text.split(" ")) <= set(style.words())
        actions.append(policy.act(observation.text))
        result = env.step(actions[-1])
        assert result.valid
        if result.done:
            return actions, result
        observation = result.observation


def test_a_sentence_follows_what_was_done(slots):
    task = local_task("ringbuffer")
    first = slots.reset(task)
    assert first.text == "edit:none test:unknown a:new b:new c:new d:new diff:unseen"
    assert len(first.goal.split()) <= 10
    assert slots.step("edit_b").observation.text == "edit:b test:unknown a:new b:tried c:new d:new diff:unseen"
    assert slots.step("look").observation.text.split()[-1] in ("diff:few", "diff:many")
    refused = slots.step("edit_c")
    assert not refused.valid
    assert "edit:b" in refused.observation.text
    tested = slots.step("test").observation.text.split()
    assert tested[1].removeprefix("test:") == tested[3].removeprefix("b:") != "unknown"
    undone = slots.step("undo").observation
    assert undone.text.startswith("edit:none test:unknown")
    assert "undo" not in undone.actions


def test_exactly_one_edit_passes_and_the_order_depends_on_the_seed(slots):
    task = local_task("ringbuffer")
    slots.reset(task)
    results = []
    for edit in style.EDITS:
        slots.step(edit)
        results.append(slots.step("test").observation.text.split()[1])
        slots.step("undo")
    assert results.count("test:pass") == 1
    slots.step("test")
    orders = {tuple(stream("swe", "candidates", seed).permutation(4)) for seed in range(50)}
    assert len(orders) > 10


@pytest.mark.slow
def test_testing_before_submitting_solves_every_held_out_task(slots):
    for task in local_tasks("eval"):
        actions, result = play(slots, task, "test_first")
        assert result.outcome is Outcome.SUCCESS, actions


@pytest.mark.parametrize("skill", ["submit_unchanged", "keep_failing"])
def test_harmful_skills_fail(slots, skill):
    outcomes = [play(slots, task, skill, seed)[1].outcome for seed, task in enumerate(local_tasks("eval")[:2])]
    assert outcomes == [Outcome.DEATH, Outcome.DEATH]


@pytest.mark.parametrize("skill", ["look_then_test", "accept_some", "second_try", "submit_untested"])
def test_every_skill_plays_to_an_end(slots, skill):
    _, result = play(slots, local_task("eventbus"), skill)
    assert result.outcome in (Outcome.SUCCESS, Outcome.DEATH)


def test_the_script_names_its_words_goals_and_skills():
    script = script_of("swe", "local")
    assert {*script.spontaneous, *script.best} <= set(script.phrases)
    assert all(3 <= len(phrase.split()) <= 7 for phrase in script.phrases.values())
    assert len(script.strategies(tuple(script.phrases))) == len(script.phrases)
    assert set(script.actions) == {*style.EDITS, "undo", "test", "look", "submit"}
    with pytest.raises(ConfigError, match="unknown"):
        script.strategies(["dance"])


def test_scripted_attempts_are_seeded_and_of_varied_success():
    task = local_task("money")
    attempts = [scripted_attempt(task, seed, 0.5) for seed in range(16)]
    assert attempts == [scripted_attempt(task, seed, 0.5) for seed in range(16)]
    assert len(set(attempts)) > 1
    assert all(parse(attempt[-1]) == Call("submit") for attempt in attempts)
    assert all(isinstance(parse(action), Call) for attempt in attempts for action in attempt)


def test_skill_and_difficulty_decide_how_often_the_policy_is_right():
    chances = {instance.id: success_chance(instance, 0.5) for instance in instances()}
    assert min(chances.values()) < 0.2
    assert max(chances.values()) > 0.8
    for instance in instances():
        assert success_chance(instance, 0.2) < chances[instance.id] < success_chance(instance, 0.8)
    for task in local_tasks("train"):
        instance = from_payload(task.payload)
        right = SweEnv.solution(task)
        share = sum(scripted_attempt(task, seed, 0.5) == right for seed in range(400)) / 400
        assert abs(share - chances[instance.id]) < 0.1


def test_an_attempt_really_resolves_exactly_when_it_is_the_repair():
    demand_engine()
    env, task = SweEnv(CONFIG), local_task("eventbus")
    right = SweEnv.solution(task)
    wrong = next(attempt for seed in range(99) if (attempt := scripted_attempt(task, seed, 0.1)) != right)
    for attempt, outcome in ((right, Outcome.SUCCESS), (wrong, Outcome.DEATH)):
        env.reset(task)
        for action in attempt:
            result = env.step(action)
        assert result.outcome is outcome
    env.close()


@pytest.mark.parametrize("profile", ["swe", "quick"])
def test_models_from_scratch_cannot_learn_from_scripts_beside_the_style_for_models_that_read(profile):
    config = composed(profile, ["envs.observation=grid", "tasks.train_levels=1", "tasks.eval_levels=1"])
    with pytest.raises(ConfigError, match=r"envs\.observation = 'grid': .* Remedy: envs\.observation: slots, or name"):
        casts(config, TaskSets.generate(config))
