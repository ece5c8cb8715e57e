"""WebShop through the text contract, in both styles."""

from dataclasses import replace

import pytest

from crl.envs.check import check_env
from crl.envs.contract import TextEnv
from crl.envs.registry import make_env
from crl.envs.webshop import tasks as task_sets
from crl.envs.webshop.env import SEARCH_FORM, WebShopEnv
from crl.envs.webshop.shop import Shop, open_shop
from crl.envs.webshop.site import Site
from crl.errors import ConfigError, DataError, EnvError
from crl.seeding import stream
from crl.tiny.scripts import script_of
from crl.tiny.slots.webshop import WebShopSlots
from crl.types import Outcome, Task
from tests.envs.webshop_shops import scripted, tasks

STYLES = ("grid", "slots")


@pytest.fixture(scope="module")
def grid():
    return WebShopEnv()


@pytest.fixture(scope="module")
def tiny():
    return WebShopSlots(WebShopEnv())


@pytest.fixture(scope="module")
def held_out() -> list[Task]:
    return tasks(300, "small", "eval", max_steps=20)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("level", WebShopEnv.levels)
def test_every_level_keeps_the_contract(level, style):
    assert isinstance(make_env("webshop", style), TextEnv)
    findings = check_env(lambda: make_env("webshop", style), tasks(5, level))
    assert [finding for finding in findings if not finding.ok] == []


@pytest.mark.parametrize("split", ["train", "eval"])
def test_the_oracle_solves_every_task_within_its_steps(grid, split):
    for task in tasks(10**6, "small", split):
        grid.reset(task)
        results = [grid.step(action) for action in WebShopEnv.solution(task)]
        assert all(result.valid for result in results)
        assert len(results) <= task.max_steps
        assert (results[-1].outcome, results[-1].reward, results[-1].info["score"]) == (Outcome.SUCCESS, 1.0, 1.0)


# The grid style


def test_the_opening_tells_instruction_rules_and_the_free_form(grid):
    task = tasks(1)[0]
    opening = grid.reset(task)
    assert opening.goal == task.goal
    assert task.goal in opening.text
    assert opening.forms == (SEARCH_FORM,)
    assert f"You have {task.max_steps} steps." in opening.manual
    (suggested,) = opening.actions  # the instruction's own words, as a search
    assert suggested == WebShopEnv.solution(task)[0]
    results = grid.step("search[something else altogether that is black]").observation
    assert results.forms == ()
    assert results.actions[0] == "click[back to search]"


def test_actions_are_read_whatever_their_case_and_blanks(grid):
    grid.reset(tasks(1)[0])
    assert grid.step("  Search[ Black   SHOES ]").valid
    assert grid.step("CLICK[ Back to  Search ]").valid


@pytest.mark.parametrize(
    "action",
    [
        "",
        "buy now",
        "search[]",
        "search[  ]",
        "click[buy now]",
        "click[search]",
        "search[x] now",
        "search",
        "\N{SNOWMAN}",
    ],
)
def test_what_makes_no_sense_on_the_search_page_is_refused_and_changes_nothing(grid, action):
    before = grid.reset(tasks(1)[0])
    refused = grid.step(action)
    assert (refused.valid, refused.done, refused.reward) == (False, False, 0.0)
    assert refused.observation.text.endswith(before.text)
    assert "nothing changed" in refused.observation.text


@pytest.mark.parametrize("second", ["click[back to search]", "search[b]", "SEARCH [b]"])
def test_two_calls_at_once_are_refused_and_no_search_for_both(grid, second):
    grid.reset(tasks(1)[0])
    for between in ("\n", " ", ""):
        assert not grid.step(f"search[a]{between}{second}").valid
    assert grid.step("search[a [b] c]").valid


def test_a_wrong_purchase_ends_the_episode_with_a_graded_score_and_no_reward(grid):
    task = next(task for task in tasks(50) if task_sets.decode(task.payload)[1].options)
    *way, buy = WebShopEnv.solution(task)
    option_clicks = len(task_sets.decode(task.payload)[1].options)
    grid.reset(task)
    for action in way[:-option_clicks]:
        grid.step(action)
    bought = grid.step(buy)
    assert (bought.outcome, bought.reward, bought.terminated) == (Outcome.DEATH, 0.0, True)
    assert bought.info["score"] == pytest.approx(1 - option_clicks / task.difficulty)
    assert "does not meet every wish" in bought.observation.text


def test_the_step_limit_gives_no_score_and_a_purchase_on_the_last_step_counts(grid):
    task = tasks(1)[0]
    actions = WebShopEnv.solution(task)
    for limit, outcome, score in ((len(actions), Outcome.SUCCESS, 1.0), (len(actions) - 1, Outcome.TIMEOUT, 0.0)):
        grid.reset(replace(task, max_steps=limit))
        for action in actions[:limit]:
            result = grid.step(action)
        assert (result.outcome, result.info["score"]) == (outcome, score)


def test_a_damaged_payload_or_another_catalogue_is_refused(grid):
    task = tasks(1)[0]
    with pytest.raises(EnvError, match=r"holds no WebShop goal.*Remedy"):
        grid.reset(replace(task, payload="{}"))
    with pytest.raises(EnvError, match="without a running episode"):
        grid.step("search[x]")
    shop, goal = task_sets.decode(task.payload)
    payload = task_sets.encode(task_sets.catalogue_of("generated-200", None), "0" * 64, goal)
    with pytest.raises(DataError, match=f"has digest {shop.digest[:12]}.*Remedy: prepare the task set again"):
        grid.reset(replace(task, payload=payload))


# The slots style


def test_sentences_are_short_and_of_known_words(tiny):
    script = script_of("webshop", "small")
    for seed, task in enumerate(tasks(40, "small", max_steps=40)):
        observation, rng = tiny.reset(task), stream("words", seed)
        assert observation.goal in script.goals
        assert len(observation.goal.split()) <= 10
        while True:
            words = observation.text.split()
            assert len(words) <= 12
            assert {*words, *observation.goal.split(), *observation.actions} <= {*script.words}, observation
            assert {*observation.actions} <= {*script.actions}
            result = tiny.step(observation.actions[int(rng.integers(len(observation.actions)))])
            if result.done:
                break
            observation = result.observation


def test_a_sentence_says_nothing_that_was_not_on_an_opened_page():
    """Everything that only sub-pages or the reward know is taken out of the shop: nothing changes before `details`."""
    for seed, task in enumerate(tasks(40)):
        shop, _ = task_sets.decode(task.payload)
        bare = Shop(
            tuple(replace(product, attributes=(), bullets=(), description="", reviews=()) for product in shop.products),
            "",
        )
        bare.__dict__["_index"] = shop._index  # the search finds the same
        full, blind = WebShopSlots(WebShopEnv()), WebShopSlots(WebShopEnv())
        full.reset(task)
        blind.reset(task)
        blind.env.site = Site(bare)
        rng = stream("leak", seed)
        for _ in range(30):
            assert (full.sentence(), full.actions()) == (blind.sentence(), blind.actions())
            choices = [action for action in full.actions() if action not in ("details", "buy")]
            action = choices[int(rng.integers(len(choices)))]
            assert full.step(action) == blind.step(action)


def test_details_may_reveal_wishes_and_options_settle_the_price(tiny):
    """The scripted buyer's last sentence before buying says that all is well, and then it is."""
    revealed = 0
    for task in tasks(60, max_steps=40):
        texts, result = scripted(tiny, task, "check_all")
        if result.outcome is Outcome.SUCCESS:
            before = texts[-2].split()
            assert before[0] == "at:item"
            assert "price:ok" in before
            assert {"options:set", "options:none"} & {*before}
            revealed += "details:read" in before
    assert revealed > 10


def test_an_action_that_makes_no_sense_now_is_refused(tiny):
    opening = tiny.reset(tasks(1)[0])
    for action in ("buy", "open", "next", "sing", ""):
        refused = tiny.step(action)
        assert not refused.valid
        assert refused.observation.text == opening.text


def test_skills_succeed_as_their_advice_promises(tiny, held_out):
    success = {
        name: sum(scripted(tiny, task, name)[1].reward for task in held_out) / len(held_out)
        for name in script_of("webshop", "small").phrases
    }
    assert success["check_all"] >= 0.8, success
    assert 0.15 <= success["first_hit"] <= 0.40, success
    assert 0.15 <= success["any_wish"] <= 0.50, success
    assert success["first_hit"] < success["within_price"] < success["check_all"], success
    assert max(success[name] for name in ("bare", "contrary", "browse", "leaf")) <= 0.15, success


def test_advice_is_short_and_unknown_skills_are_refused():
    script = script_of("webshop", "small")
    assert all(3 <= len(phrase.split()) <= 7 for phrase in script.phrases.values())
    assert {*script.spontaneous} <= {*script.phrases}
    with pytest.raises(ConfigError, match="unknown \\['haggle'\\]"):
        script.strategies(["haggle"])


def test_a_process_builds_the_shop_once():
    one, other = (task_sets.decode(task.payload)[0] for task in tasks(2))
    assert one is other is open_shop(task_sets.catalogue_of("generated-200", None))
