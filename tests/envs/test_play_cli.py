"""`crl play` and `crl envs`, through the real entry point."""

import re

import pytest
from typer.testing import CliRunner

from crl.cli.main import app
from crl.config.play import ModelConfig
from crl.envs.minihack.game import ACTION_NAMES
from crl.errors import ConfigError
from crl.models.resolve import save_model
from crl.tiny.model import build_model
from crl.tiny.slots import minihack as slots
from crl.tiny.tokenizer import train_tokenizer


def run(*arguments: str, typed: str = ""):
    return CliRunner().invoke(app, arguments, input=typed)


def test_a_scripted_player_wins_the_key_room_before_our_eyes():
    result = run("play", "--level", "MiniHack-KeyRoom-S5-v0", "--player", "scripted", "--observation", "grid")
    assert result.exit_code == 0
    assert "'apply'" in result.output
    assert "success after" in result.output


def test_a_random_player_shows_every_turn_until_the_limit():
    result = run("play", "--player", "random", "--observation", "slots", "--seed", "3", "--max-steps", "4")
    assert "stairs:" in result.output
    assert "timeout after 4 turns" in result.output


def test_a_random_player_says_what_to_do_where_only_free_text_is_taken():
    result = run("play", "--env", "tests.envs.toy_envs:TextCorridor", "--player", "random")
    assert result.exit_code == 2
    assert "Remedy: use --player human" in " ".join(result.output.split())


def test_a_human_types_initials_is_told_what_was_not_understood_and_can_leave():
    result = run("play", "--observation", "slots", typed="e\nfly\n\n")
    assert "'east'" in result.output
    assert "'fly'  not understood" in result.output
    assert "stopped" in result.output


def test_the_model_player_asks_for_a_model():
    assert isinstance(run("play", "--player", "model").exception, ConfigError | SystemExit)
    assert run("play", "--player", "model").exit_code != 0


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([*ACTION_NAMES, *slots.words()] * 20, 640)


@pytest.fixture(scope="module")
def model_folder(tokenizer, tmp_path_factory):
    model = build_model(ModelConfig(hidden_size=16, layers=1, heads=2, context_tokens=512), tokenizer, seed=0)
    save_model(model, tokenizer, folder := tmp_path_factory.mktemp("models") / "actor")
    return folder


def test_a_model_in_a_folder_plays(tokenizer, model_folder):
    arguments = ("--player", "model", "--model", str(model_folder), "--observation", "slots", "--max-steps", "5")
    result = run("play", *arguments)
    assert result.exit_code == 0
    assert " after " in result.output
    said = re.findall(r"─ \d+  '([^']*)'", result.output)
    assert said  # one token each, as tiny models are trained: a second one would make another word of the action
    assert all(len(tokenizer.encode(word)) <= 1 for word in said)
    again = run("play", *arguments)  # sampled with the seed, so the same once more
    assert again.output[again.output.index("╭") :] == result.output[result.output.index("╭") :]


def test_what_a_model_says_is_shown_before_what_comes_of_it_as_long_and_by_the_prompts_that_were_asked_for(
    tokenizer, model_folder
):
    arguments = ("--player", "model", "--model", str(model_folder), "--observation", "slots", "--max-steps", "2")
    output = run("play", *arguments, "--max-new-tokens", "6", "--prompts", "compact").output
    turns = re.findall(r"╯\n(.*)\n╭─ \d+  '(.*?)'", output)
    assert len(turns) == 2
    for said, done in turns:
        assert len(tokenizer.encode(said)) > 1  # more than the one token of before
        assert re.sub(r"\\x..", "\ufffd", done) == said  # which shows no control character
    unknown = run("play", *arguments, "--prompts", "terse")
    assert (unknown.exit_code, "no such" in unknown.output) == (2, True)


def test_an_untrained_model_plays_legal_actions_where_it_is_told_to(model_folder):
    arguments = ("--player", "model", "--model", str(model_folder), "--observation", "slots", "--max-steps", "3")
    output = run("play", *arguments, "--replies", "legal").output
    assert "not understood" not in output
    named = re.findall(r"─ \d+  '([^']*)'", output)
    assert re.findall(r"(?:╯|^)\n(.*)\n╭─ \d+  ", output, re.MULTILINE) == named
    assert len(named) == 3
    assert set(named) <= set(ACTION_NAMES)


def test_options_of_the_model_are_refused_for_other_players():
    for option in (("--max-new-tokens", "3"), ("--prompts", "full"), ("--replies", "legal")):
        refused = run("play", "--player", "random", *option)
        assert refused.exit_code == 2
        assert "Remedy: add --player model" in " ".join(refused.output.split())


def test_envs_lists_families_and_levels():
    result = run("envs")
    assert "minihack" in result.output
    assert "MiniHack-MazeWalk-9x9-v0" in result.output


def test_envs_check_passes_a_good_level_and_fails_a_bad_environment():
    good = run(
        "envs",
        "check",
        "minihack",
        "--level",
        "MiniHack-Room-Dark-5x5-v0",
        "--observation",
        "slots",
        "--seeds",
        "2",
        "--max-steps",
        "8",
    )
    assert (good.exit_code, "all rules hold" in good.output) == (0, True)
    bad = run("envs", "check", "tests.envs.toy_envs:LeakyCorridor")
    assert (bad.exit_code, "violated" in bad.output, "resettable" in bad.output) == (1, True, True)
