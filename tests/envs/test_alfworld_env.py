"""ALFWorld through the text contract: the true engine, its speed-up, its failures."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("fast_downward", reason="crl[alfworld] compiles C++ at install")

import textworld
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
from textworld.envs import PddlEnv

from crl.envs.alfworld import memo
from crl.envs.alfworld.env import AlfWorldEnv
from crl.envs.alfworld.game import to_payload
from crl.envs.alfworld.generate import generate
from crl.envs.alfworld.interpreter import Interpreter
from crl.envs.check import check_env
from crl.envs.errors import EnvCrash, EnvError, EnvUnavailable
from crl.envs.registry import make_env
from crl.seeding import stream
from crl.types import Outcome
from tests.envs.alfworld_games import bare, game_file, request

WALK_STEPS = 20
LIGHT = "look_at_obj_in_light"  # in living rooms and bedrooms, whose games are the quickest to translate


@pytest.fixture
def grid():
    env = AlfWorldEnv()
    yield env
    env.close()


@pytest.mark.parametrize("style", ["slots", "grid"])
def test_alfworld_keeps_the_contract(style):
    tasks = list(AlfWorldEnv.task_set(request(3, max_steps=15)))
    findings = check_env(lambda: make_env("alfworld", style), tasks)
    assert [finding for finding in findings if not finding.ok] == []


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_the_fast_engine_says_what_the_stock_engine_says(seed, tmp_path):
    """The package's own classes load the game from a file in the true format; the same random walk on both."""
    game = generate("generated", "train", seed)
    file = tmp_path / "game.tw-pddl"
    file.write_text(json.dumps(game_file(game)))
    stock = AlfredDemangler(PddlEnv(textworld.EnvInfos(won=True, admissible_commands=True)))
    stock.load(str(file))
    interpreter, rng = Interpreter(), stream("walk", seed)
    state, reply = stock.reset(), interpreter.reset(game)
    for _ in range(WALK_STEPS):
        assert reply == (state["feedback"], tuple(state["admissible_commands"]), state["won"])
        doing = [command for command in reply.commands if not command.startswith(("go to", "help"))]
        choices = doing if len(doing) > 2 and rng.random() < 0.7 else reply.commands
        command = choices[int(rng.integers(len(choices)))]
        state, reply = stock.step(command)[0], interpreter.step(command)
    interpreter.close()


_PLAY = """
import hashlib
from crl.envs.alfworld.env import AlfWorldEnv
from crl.envs.registry import make_env
from tests.envs.alfworld_games import bare
from crl.envs.check import play
digest = hashlib.sha256(repr(AlfWorldEnv.solution(bare(8))).encode())  # in a room with two sinks
for style in ("grid", "slots"):
    env = make_env("alfworld", style)
    for seed in range(3):
        digest.update(repr(play(env, bare(seed, max_steps=12))).encode())
print(digest.hexdigest())
"""


def test_an_episode_and_a_solution_are_the_same_in_any_process():
    """Sets and hashes are everywhere in the interpreter; none may reach the texts."""
    outputs = set()
    for salt in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": salt}
        run = subprocess.run([sys.executable, "-c", _PLAY], env=environment, capture_output=True, text=True, check=True)
        outputs.add(run.stdout)
    assert len(outputs) == 1


def test_a_timeout_costs_one_and_ends_the_episode(grid):
    grid.reset(bare(1, max_steps=2))
    assert grid.step("look").reward == 0.0
    last = grid.step("inventory")
    assert (last.reward, last.outcome, last.truncated) == (-1.0, Outcome.TIMEOUT, True)
    with pytest.raises(EnvError, match="Remedy: call reset"):
        grid.step("look")


def test_a_command_that_is_not_admissible_changes_nothing(grid):
    observation = grid.reset(bare(2))
    result = grid.step("take moon 1 from sky 1")
    assert not result.valid
    assert result.observation.text == "Nothing happens."
    assert result.observation.actions == observation.actions
    assert "go to" in observation.manual


def test_the_goal_is_the_engines_own_instruction(grid):
    observation = grid.reset(bare(3))
    said = re.search(r"Your task is to: (.*)\.", observation.text).group(1)
    assert observation.goal.lower() == f"{said}."


def test_an_engine_failure_costs_one_episode(grid, monkeypatch):
    first = grid.reset(bare(1))
    with monkeypatch.context() as patch:
        patch.setattr(textworld.envs.pddl.pddl.PddlEnv, "step", lambda self, command: [][0])
        with pytest.raises(EnvCrash, match="the interpreter failed with IndexError"):
            grid.step("look")
    with pytest.raises(EnvError, match="Remedy: call reset"):
        grid.step("look")
    assert grid.reset(bare(1)) == first


def test_a_game_that_the_translator_refuses_is_a_crash_and_not_the_end_of_the_process(grid):
    game = generate("generated", "train", 1)
    broken = replace(game, problem=game.problem.replace("(:init", "(:init (= 1 (total-cost))"))
    with pytest.raises(EnvCrash, match="the interpreter failed with"):
        grid.reset(replace(bare(1), payload=to_payload(broken)))
    assert grid.reset(bare(1)).actions


def test_the_process_keeps_its_arguments_and_its_output(grid, capsys):
    arguments, output = list(sys.argv), sys.stdout
    grid.reset(bare(1, level=LIGHT))
    grid.step("look")
    assert sys.argv == arguments
    assert sys.stdout is output
    assert capsys.readouterr() == ("", "")


def _libraries() -> int:
    return len({line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libdownward" in line})


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="counts mapped libraries as Linux lists them")
def test_closed_engines_leave_their_library_to_the_next():
    game = generate(LIGHT, "train", 1)
    first = Interpreter()
    reply = first.reset(game)
    first.close()
    before = _libraries()
    for _ in range(30):
        interpreter = Interpreter()
        assert interpreter.reset(game) == reply
        del interpreter  # without a close, too
    assert _libraries() == before


def test_what_the_engine_forgets_in_a_running_game_is_not_missed(monkeypatch):
    game, other = (generate(LIGHT, "train", seed) for seed in (1, 2))

    def replies():
        one, two = Interpreter(), Interpreter()
        seen, rng = [one.reset(game)], stream("forget")
        for _ in range(15):
            two.reset(other)
            commands = seen[-1].commands
            seen.append(one.step(commands[int(rng.integers(len(commands)))]))
        return seen

    remembered = replies()
    monkeypatch.setattr(memo, "_PROPOSITIONS", 0)
    assert replies() == remembered


def test_an_engine_is_not_used_after_close():
    interpreter = Interpreter()
    interpreter.close()
    interpreter.close()
    with pytest.raises(EnvError, match="Remedy: make a new one"):
        interpreter.step("look")


def test_environments_do_not_share_a_world(grid):
    other = AlfWorldEnv()
    task = bare(2)
    grid.reset(task)
    other.reset(bare(4))
    going = next(command for command in grid.reset(task).actions if command.startswith("go to"))
    other_first = other.step("look")
    assert grid.step(going).observation.text.startswith("You arrive at")
    assert other.step("look") == other_first
    other.close()


_WITHOUT = """
import sys
for name in ("alfworld", "textworld", "fast_downward"):
    sys.modules[name] = None
from crl.envs.registry import family_class, make_env
from tests.envs.alfworld_games import bare
print(len(family_class("alfworld").levels))
for style in ("grid", "slots"):
    try:
        make_env("alfworld", style).reset(bare(1))
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_without_the_packages_levels_are_listed_and_play_says_what_is_missing():
    run = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=True)
    listed, *refusals = run.stdout.splitlines()
    assert listed == "7"
    for refusal in refusals:
        assert refusal.startswith(EnvUnavailable.__name__)
        assert "C++ compiler" in refusal
        assert "make install" in refusal
    assert len(refusals) == 2
