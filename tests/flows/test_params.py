"""What a run asks of params.yaml: changes are made on top of what a team has set in it, or refused by name."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from crl.config.compose import chosen, compose, dump, own_values
from crl.errors import ConfigError
from flows import pipeline, run
from flows.stage import params

ROOT = Path(__file__).parents[2]
BY_HAND = ["rollout.groups=5", "+tasks.mix.cave.level=MiniHack-Room-5x5-v0"]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A checkout whose params.yaml is `crl compose quick rollout.groups=5 ...`, as the README has it."""
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    (tmp_path / "params.yaml").write_text(dump(compose("quick", BY_HAND, ROOT / "conf")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commit() -> None:
    identity = (["config", "user.name", "t"], ["config", "user.email", "t@t"])
    for words in (["init", "-q"], *identity, ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run(["git", *words], check=True)


def held() -> dict:
    return yaml.safe_load(Path("params.yaml").read_text())


def test_an_override_is_made_on_top_of_values_set_by_hand_and_all_that_differs_is_said(folder):
    said = []
    assert params.ask(None, ["rounds.count=4"], said.append)
    assert held() == compose("quick", [*BY_HAND, "rounds.count=4"])
    assert "rollout.groups = 5 (quick: 12)" in said[0]
    assert "rounds.count = 4 (quick: 40)" in said[0]


def test_another_profile_is_refused_by_the_names_of_what_would_be_lost_and_nothing_is_written(folder):
    before = Path("params.yaml").read_text()
    with pytest.raises(ConfigError) as error:
        params.ask("laptop", ["rounds.count=4"], print)
    assert "rollout.groups = 5 (quick: 12)" in str(error.value)
    assert "tasks.mix.cave.level" in str(error.value)
    assert "crl compose laptop > params.yaml" in str(error.value)
    assert Path("params.yaml").read_text() == before
    Path("params.yaml").write_text(dump(compose("quick")))
    assert params.ask("laptop", ["rounds.count=4"], print)
    assert held() == compose("laptop", ["rounds.count=4"])


def test_an_override_holds_for_one_run_unless_it_was_committed_or_edited(folder):
    params.ask(None, ["rounds.count=4"], print)
    assert not params.ask(None, [], print)  # `make run` goes on with what was asked last
    params.ask(None, ["run.seed=8"], print)
    assert held() == compose("quick", [*BY_HAND, "run.seed=8"])
    commit()
    params.ask(None, ["rounds.count=4"], print)
    assert held() == compose("quick", [*BY_HAND, "run.seed=8", "rounds.count=4"])
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("groups: 5", "groups: 6"))
    params.ask(None, ["run.seed=9"], print)
    assert (held()["rounds"]["count"], held()["rollout"]["groups"], held()["run"]["seed"]) == (4, 6, 9)


def test_overrides_add_and_remove_entries_whose_names_have_a_dash(folder):
    params.ask(None, ["+tasks.mix.ice-room.level=MiniHack-Room-5x5-v0", "~tasks.mix.maze"], print)
    assert list(held()["tasks"]["mix"]) == ["room", "keyroom", "cave", "ice-room"]


def test_a_mix_is_narrowed_and_replaced_from_the_command_line(folder):
    params.ask(
        None, ["~tasks.mix.maze", "~tasks.mix.cave", "tasks.mix={room: {max_steps: 9}, keyroom: {max_steps: 8}}"], print
    )
    assert {name: entry["max_steps"] for name, entry in held()["tasks"]["mix"].items()} == {"room": 9, "keyroom": 8}
    params.ask(None, ["~tasks.mix", "+tasks.mix={hall: {level: MiniHack-Room-5x5-v0, max_steps: 9}}"], print)
    assert list(held()["tasks"]["mix"]) == ["hall"]


def test_where_there_is_no_git_a_run_is_asked_for_all_the_same(folder, monkeypatch):
    monkeypatch.setenv("PATH", "")
    params.refuse_a_name_alone(Path("params.yaml"))
    for seed in (8, 9):  # the second looks whether the first was committed
        params.ask(None, [f"run.seed={seed}"], print)
    assert held() == compose("quick", [*BY_HAND, "run.seed=9"])


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("profile=laptop", "choose a profile"),
        ("rounds.count=0", "at least 1"),
        ("rounds.cuont=4", "crl check --fields"),
        ("tasks.mix={room: {max_steps: 9}}", "~tasks.mix.maze ~tasks.mix.keyroom ~tasks.mix.cave to remove"),
    ],
)
def test_a_change_that_cannot_be_meant_is_refused_before_the_file_is_touched(folder, override, remedy):
    before = Path("params.yaml").read_text()
    with pytest.raises(ConfigError, match=rf"Remedy: .*{remedy}"):
        params.ask(None, [override], print)
    assert Path("params.yaml").read_text() == before


def test_a_profile_is_composed_with_no_mix_that_narrows_nothing():
    with pytest.raises(
        ConfigError, match=r"adds to the mix, in which maze, keyroom would stay. Remedy: ~tasks.mix.maze"
    ):
        compose("quick", ["tasks.mix={room: {max_steps: 9}}"])


def test_the_command_line_refuses_with_a_sentence_and_starts_no_server(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run", "--profile", "laptop"])
    monkeypatch.setattr(run.prefect_server, "running", None)
    for needed in (".git", ".dvc"):
        (folder / needed).mkdir()
    assert run.main() == 2
    assert "rollout.groups = 5" in capsys.readouterr().err


def test_commands_that_only_look_make_changes_on_top_of_the_file_too(folder):
    assert chosen(None, Path("params.yaml"), ["rounds.count=4"]).rollout.groups == 5
    assert own_values(held()) == [
        "rollout.groups = 5 (quick: 12)",
        "tasks.mix.cave.level = 'MiniHack-Room-5x5-v0' (quick: not there)",
    ]


def test_what_is_taken_out_of_a_profile_is_told_as_a_whole():
    assert own_values(compose("quick", ["~tasks.mix.maze", "~rollout.groups"])) == [
        "rollout.groups is left out (it is in quick)",
        "tasks.mix.maze is left out (it is in quick)",
    ]


@pytest.fixture
def pipeline_of_one_stage(folder) -> Path:
    """DVC itself, configured as in this repository: one stage that keeps what params.yaml held when it ran."""
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text((ROOT / ".dvc/config").read_text())
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    echo = {"cmd": "cp params.yaml seen.yaml", "params": ["rollout.groups", "rounds.count"], "outs": ["seen.yaml"]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"report": echo}}))
    (folder / ".gitignore").write_text("/seen.yaml\n")
    commit()
    return folder


def test_dvc_runs_what_the_file_holds(pipeline_of_one_stage):
    params.ask(None, ["rounds.count=4"], print)
    [(_, command)] = pipeline.commands(["report"], experiment=True)
    subprocess.run(command, check=True)
    assert yaml.safe_load((pipeline_of_one_stage / "seen.yaml").read_text()) == held()
    assert held() == compose("quick", [*BY_HAND, "rounds.count=4"])


def test_dvc_s_own_changes_are_made_on_top_of_values_set_by_hand(pipeline_of_one_stage):
    Path("params.yaml").write_text(dump(compose("quick", [*BY_HAND, "run.seed=8"])))  # set by hand, not committed
    changes = ["rounds.count=4", "+tasks.mix.ice-room.level=MiniHack-Room-5x5-v0", "~tasks.mix.maze"]
    subprocess.run([*pipeline.DVC, "exp", "run", *(word for change in changes for word in ("-S", change))], check=True)
    assert held() == compose("quick", [*BY_HAND, "run.seed=8", *changes])


def test_the_name_of_another_profile_without_its_values_is_refused(folder):
    commit()
    values = held()
    for name in ("quick", "mine", "laptop"):
        Path("params.yaml").write_text(dump(values | {"profile": name, "rounds": values["rounds"] | {"count": 3}}))
        if name == "laptop":
            with pytest.raises(ConfigError, match=r"Remedy: python -m flows\.run --profile laptop"):
                params.refuse_a_name_alone(Path("params.yaml"))
        else:
            params.refuse_a_name_alone(Path("params.yaml"))
    Path("params.yaml").write_text(dump(compose("laptop", ["rounds.count=3"])))
    params.refuse_a_name_alone(Path("params.yaml"))
