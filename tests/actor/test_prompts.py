from dataclasses import replace

import pytest

from crl.actor.actions import parse_action
from crl.actor.prompts import actor_prompts
from crl.config.compose import composed
from crl.envs.contract import Observation
from crl.errors import ConfigError
from crl.models.chat import Message
from crl.tiny.prompts import CompactActorPrompts
from tests.actor.conftest import prompts_of

ADVICE = "Walk along the {wall} until the stairs come into view."


def text(messages) -> str:
    return "\n".join(message.content for message in messages)


@pytest.mark.parametrize("style", ["full", "brief", "compact"])
@pytest.mark.parametrize(("inject", "shown"), [("system", True), ("user", True), ("none", False)])
def test_the_experience_is_in_the_opening_exactly_where_it_shall_be(observation, style, inject, shown):
    prompts = prompts_of(style, inject, 2)
    assert (ADVICE in text(prompts.opening(observation, ADVICE))) is shown
    assert prompts.opening(observation)[-1].role == "user"
    assert "advice" not in text(prompts.opening(observation)).lower()


@pytest.mark.parametrize("style", ["full", "brief"])
def test_system_injection_leaves_the_user_message_as_a_free_episode_has_it(observation, style):
    prompts = prompts_of(style, "system", 2)
    guided, free = prompts.opening(observation, ADVICE), prompts.opening(observation)
    assert guided[0].content.startswith(free[0].content)
    assert guided[1] == free[1]


@pytest.mark.parametrize("style", ["full", "brief"])
def test_user_injection_leaves_the_system_message_as_a_free_episode_has_it(observation, style):
    prompts = prompts_of(style, "user", 2)
    guided, free = prompts.opening(observation, ADVICE), prompts.opening(observation)
    assert guided[0] == free[0]
    assert guided[1].content.endswith(free[1].content)


@pytest.mark.parametrize("style", ["full", "brief"])
def test_the_opening_holds_rules_goal_observation_and_actions(observation, style):
    system, user = prompts_of(style, "system", 2).opening(observation)
    assert observation.manual in system.content
    for part in (observation.goal, observation.text, "north, east, pick_up"):
        assert part in user.content


def test_the_reply_format_in_the_prompt_is_the_one_that_is_parsed(observation):
    system = prompts_of("full", "system", 2).opening(observation)[0].content
    assert parse_action(system.replace("ACTION", "pick up"), observation.actions) == "pick_up"


def test_where_any_text_may_be_an_action_the_manual_alone_says_how_it_is_written(observation):
    """Beside a list of one name, or tags of ours, a model forgets the tools: it submits at once."""
    free = replace(observation, actions=("submit",), forms=("{}",))
    prompts = prompts_of("full", "system", 2)
    shown = [*prompts.opening(free), prompts.following(free)]
    assert "answer>" not in text(shown)
    assert "Actions:" not in text(shown)
    assert free.manual in text(shown)


def test_the_brief_opening_says_nothing_twice(observation):
    listing = replace(observation, text="You see a door.\nActions: north, east, pick_up", manual="reach the stairs")
    prompts = prompts_of("brief", "system", 2)
    said = text(prompts.opening(listing, "Take\n the key."))
    assert said.count("north, east, pick_up") == said.count(listing.goal) == 1
    assert "Advice: Take the key." in said.splitlines()
    assert (
        len(text(prompts.opening(observation)).split())
        < len(text(prompts_of("full", "system", 2).opening(observation)).split()) / 3
    )


def test_a_brief_reply_is_one_line(observation):
    prompts = prompts_of("brief", "system", 2)
    assert prompts.stop_strings(asking=False) == ("\n",)
    assert prompts.stop_strings(asking=True) == ("\n", "</search_and_ask>")
    assert parse_action("pick up\n", observation.actions) == prompts.naming("pick_up") == "pick_up"
    assert "nothing has changed" in prompts.following(observation, valid=False).content.lower()
    assert "Advice: go east" in prompts.answered("go east", uses_left=0).content


def test_the_compact_opening_is_goal_advice_and_observation_on_one_line(observation):
    prompts = prompts_of("compact", "system", 2)
    assert text(prompts.opening(observation)) == f"{observation.goal} now: {observation.text}"
    assert text(prompts.opening(observation, "take\nthe key")) == (
        f"{observation.goal} advice: take the key now: {observation.text}"
    )
    assert len(text(prompts.opening(observation)).split()) <= 20


@pytest.mark.parametrize("style", ["full", "compact"])
def test_the_ask_manual_is_shown_on_request_only(observation, style):
    prompts = prompts_of(style, "system", 2)
    assert "<search_and_ask>" in text(prompts.opening(observation, ask_manual=True))
    assert "search_and_ask" not in text(prompts.opening(observation))
    assert prompts.stop_strings(asking=True) == ("</search_and_ask>",)
    assert prompts.stop_strings(asking=False) == ()


def test_the_ask_manual_states_its_budget(observation):
    assert "2 times" in text(prompts_of("full", "system", 2).opening(observation, ask_manual=True))
    assert "once" in text(prompts_of("full", "system", 1).opening(observation, ask_manual=True))


def test_later_turns_show_the_new_observation_and_say_when_nothing_happened():
    later = Observation("n:wall", actions=("east",))
    full, compact = prompts_of("full", "system", 2), prompts_of("compact", "system", 2)
    assert "n:wall" in full.following(later).content
    assert "nothing has changed" not in full.following(later).content
    assert "nothing has changed" in full.following(later, valid=False).content
    assert compact.following(later).content == "n:wall"
    assert compact.following(later, valid=False).content == "unknown n:wall"


def test_the_last_answer_of_the_tool_says_that_it_was_the_last():
    prompts = prompts_of("full", "system", 2)
    assert "Questions left: 1" in prompts.answered("go east", uses_left=1).content
    assert "no more" in prompts.answered("go east", uses_left=0).content


def test_several_experiences_are_numbered_and_a_single_one_is_not():
    prompts = prompts_of("full", "system", 2)
    assert prompts.join_experiences(["a"]) == "a"
    assert prompts.join_experiences(["a", "b"]) == "1. a\n2. b"


class Shouted(CompactActorPrompts):
    """A prompt set of a package of the user's."""

    def following(self, observation: Observation, *, valid: bool = True) -> Message:
        return Message("user", observation.text.upper())


def test_a_prompt_set_of_another_package_is_used_by_its_name(observation):
    config = composed("quick", ["actor.prompts=tests.actor.test_prompts:Shouted"])
    assert actor_prompts(config.actor).following(observation).content == observation.text.upper()


@pytest.mark.parametrize("role", ["actor", "extractor"])
def test_a_prompt_set_that_nobody_knows_is_refused_before_anything_runs(role):
    with pytest.raises(
        ConfigError, match=rf"{role}.prompts = 'compat': no such prompt set. Remedy: did you mean compact"
    ):
        composed("quick", [f"{role}.prompts=compat"])
