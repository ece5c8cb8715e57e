"""SWE-Bench through the text contract, over real containers."""

import io
import json
import subprocess
import tarfile
from dataclasses import replace

import pytest

from crl.envs.check import check_env
from crl.envs.errors import EnvCrash, EnvError, EnvUnavailable
from crl.envs.registry import make_env
from crl.envs.swe import env as env_module
from crl.envs.swe.env import SweEnv
from crl.envs.swe.instances import from_payload
from crl.envs.swe.manual import MAX_TEXT_CHARS
from crl.envs.swe.tools import render
from crl.envs.swe.tree import tar_of
from crl.errors import ConfigError
from crl.sandbox import SandboxBroken
from crl.tiny.slots.swe import SweSlots
from crl.types import Outcome
from tests.envs.swe_tasks import CONFIG, demand_engine, local_instance, local_task, local_tasks


@pytest.fixture(scope="module", autouse=True)
def _engine():
    demand_engine()


@pytest.fixture(scope="module")
def grid():
    env = SweEnv(CONFIG)
    yield env
    env.close()


@pytest.fixture(scope="module")
def slots():
    env = SweSlots(SweEnv(CONFIG))
    yield env
    env.close()


def bash(env: SweEnv, command: str) -> str:
    return env.step(render("bash", command=command)).observation.text


def editor(env: SweEnv, command: str, **arguments: str) -> str:
    return env.step(render("str_replace_editor", command=command, **arguments)).observation.text


@pytest.mark.slow
@pytest.mark.parametrize("style", ["slots", "grid"])
def test_the_contract_is_kept(style):
    findings = check_env(
        lambda: make_env("swe", style, CONFIG), [replace(task, max_steps=4) for task in local_tasks()[:2]]
    )
    assert [finding for finding in findings if not finding.ok] == []


def test_the_agent_reads_the_issue_and_how_to_call_tools(grid):
    task = local_task("ringbuffer")
    first = grid.reset(task)
    assert "RingBuffer(3) holds three values at most" in first.text
    assert first.goal == "Repair the repository local/ringbuffer: len() of a full ring buffer keeps growing"
    assert "<function=bash>" in first.manual
    assert "You have 30 steps." in first.manual
    assert (first.actions, first.forms) == (("submit",), ("{}",))


def test_the_oracle_solves_and_its_score_is_told(grid):
    task = local_task("ringbuffer")
    grid.reset(task)
    results = [grid.step(action) for action in SweEnv.solution(task)]
    assert (results[-1].outcome, results[-1].reward, results[-1].terminated) == (Outcome.SUCCESS, 1.0, True)
    assert results[-1].info["score"] == 1.0
    with pytest.raises(EnvError, match="without a running episode"):
        grid.step("submit")


def test_submitting_nothing_fails_and_the_time_limit_is_a_timeout(grid):
    task = local_task("ringbuffer")
    grid.reset(task)
    result = grid.step("submit")
    assert (result.outcome, result.reward, result.info["score"]) == (Outcome.DEATH, 0.0, 0.0)
    grid.reset(replace(task, max_steps=2))
    assert not grid.step(render("bash", command="true")).done
    late = grid.step(render("bash", command="true"))
    assert (late.outcome, late.truncated, late.reward) == (Outcome.TIMEOUT, True, 0.0)


def test_a_malformed_call_does_nothing_and_says_what_to_change(grid):
    grid.reset(replace(local_task("ringbuffer"), max_steps=1))
    for reply in (
        "rm -rf .",
        render("bash", command="rm ringbuffer.py") * 2,
        "<function=bash>rm ringbuffer.py</function>",
    ):
        result = grid.step(reply)
        assert (result.valid, result.done) == (False, False)
        assert result.observation.text.startswith("Not understood; nothing was done.")
    assert "ringbuffer.py" in bash(grid, "ls")


def test_the_history_is_one_commit_and_its_name_is_the_instances(grid):
    instance = local_instance("money")
    grid.reset(local_task("money"))
    assert bash(grid, "git log --all --format='%H %s'") == f"{instance.base_commit} base"
    assert bash(grid, "git status --short; git stash list; git reflog --all | wc -l") == "2"


def test_neither_the_repair_nor_the_hidden_tests_are_in_the_container(grid):
    instance = local_instance("eventbus")
    grid.reset(local_task("eventbus"))
    wanted = "|".join([*(name.rpartition("::")[2] for name in instance.fail_to_pass), "list.self._handlers.get"])
    everything = (
        "cat $(find /testbed /tmp -type f -not -path '*/.git/*'); git cat-file --batch --batch-all-objects; env"
    )
    assert bash(grid, f"({everything}) | grep -caE 'emit|{wanted}'") != "0"
    assert bash(grid, f"({everything}) | grep -caE '{wanted}'") == "0\n[exit code 1]"


def test_the_visible_tests_pass_before_the_repair_and_reports_hold_no_times(grid):
    grid.reset(local_task("eventbus"))
    assert bash(grid, "python3 -m pytest -q").endswith("2 passed in ?s")


def test_the_editor_views_creates_replaces_inserts_and_undoes(grid):
    grid.reset(local_task("ringbuffer"))
    assert "/testbed/tests/test_ringbuffer.py" in editor(grid, "view", path="/testbed")
    assert (
        editor(grid, "view", path="ringbuffer.py", view_range="[4, 5]")
        == "     4\tclass RingBuffer:\n     5\t    def __init__(self, size):"
    )
    assert "occurs 5 times" in editor(grid, "str_replace", path="ringbuffer.py", old_str="self._count", new_str="x")
    assert "Created /testbed/pkg/new.py" in editor(grid, "create", path="/testbed/pkg/new.py", file_text="a\nb")
    assert "exists already" in editor(grid, "create", path="/testbed/pkg/new.py", file_text="a\nb")
    assert "2\tmiddle" in editor(grid, "insert", path="pkg/new.py", insert_line="1", new_str="middle")
    assert "has 3 lines" in editor(grid, "insert", path="pkg/new.py", insert_line="9", new_str="z")
    assert bash(grid, "cat pkg/new.py") == "a\nmiddle\nb"
    assert "undone" in editor(grid, "undo_edit", path="pkg/new.py")
    assert bash(grid, "cat pkg/new.py") == "a\nb"
    assert "undone" in editor(grid, "undo_edit", path="pkg/new.py")
    assert "no edit" in editor(grid, "undo_edit", path="pkg/new.py")
    assert "No such file" in editor(grid, "view", path="pkg/new.py")


def test_long_output_is_cut_in_the_middle_and_exit_codes_are_told(grid):
    grid.reset(local_task("ringbuffer"))
    text = bash(grid, "seq 100000; exit 3")
    assert len(text) < MAX_TEXT_CHARS + 200
    assert text.startswith("1\n2\n")
    assert text.endswith("100000\n[exit code 3]")
    assert "characters left out" in text


def test_a_patch_longer_than_a_commands_kept_output_arrives_whole(grid):
    task = local_task("ringbuffer")
    grid.reset(task)
    bash(grid, "head -c 90000 /dev/urandom | base64 > noise.txt")
    for action in SweEnv.solution(task):
        result = grid.step(action)
    assert result.outcome is Outcome.SUCCESS


@pytest.mark.parametrize(
    "command",
    [
        "printf 'import os\\nos._exit(0)\\n' > conftest.py",
        "echo '[pytest]' > pytest.ini",
        "echo 'def test_x(): pass' > tests/test_ringbuffer.py",
        "echo x > sitecustomize.py",
        "ln -s /etc/passwd link",
        "git mv tests/test_ringbuffer.py tests/old.py",
        "mkdir -p pytest && echo 'print(1)' > pytest/__init__.py",
        "echo '*.py diff=evil' > .gitattributes",
    ],
)
def test_touching_the_judge_is_refused_even_with_the_right_repair(grid, command):
    task = local_task("ringbuffer")
    grid.reset(task)
    bash(grid, command)
    for action in SweEnv.solution(task):
        result = grid.step(action)
    assert (result.outcome, result.reward, result.info["refused"]) == (Outcome.DEATH, 0.0, True)


@pytest.mark.parametrize(
    "command",
    [
        "rm -rf .git",
        "mkdir -p .git/hooks && printf '#!/bin/sh\\necho pwned\\n' | tee .git/hooks/pre-commit > .git/hooks/post-checkout",
        "git config diff.external 'echo PASSED'; git config core.hooksPath /tmp; git config alias.diff '!echo'",
        "echo 'echo noise' > ~/.bash_profile",
        "rm -rf .git && git init -q && git add -A && git -c user.name=a -c user.email=a@b commit -qm base",
    ],
)
def test_tampering_with_git_wins_nothing(grid, command):
    """What git tells is only ever text: an unresolved end, never a crash."""
    grid.reset(local_task("ringbuffer"))
    bash(grid, command)
    result = grid.step("submit")
    assert (result.outcome, result.reward) == (Outcome.DEATH, 0.0)


def test_committing_does_not_hide_the_repair(grid):
    task = local_task("ringbuffer")
    grid.reset(task)
    *edits, submit = SweEnv.solution(task)
    for action in edits:
        grid.step(action)
    bash(grid, "git add -A && git -c user.name=a -c user.email=a@b commit -qm fix")
    assert grid.step(submit).outcome is Outcome.SUCCESS


def test_a_killed_container_is_a_crash_of_this_episode_only(grid):
    task = local_task("ringbuffer")
    grid.reset(task)
    subprocess.run(["docker", "kill", grid.workspace.sandbox.id], check=True, capture_output=True)
    with pytest.raises(EnvCrash):
        bash(grid, "ls")
    with pytest.raises(EnvError, match="without a running episode"):
        bash(grid, "ls")
    grid.reset(task)
    assert "ringbuffer.py" in bash(grid, "ls")


def test_a_container_that_the_agent_broke_is_a_failed_end(grid, monkeypatch):
    def broken(command: str):
        raise SandboxBroken("no process can be started")

    grid.reset(local_task("ringbuffer"))
    monkeypatch.setattr(grid.workspace, "bash", broken)
    result = grid.step(render("bash", command=":(){ :|:& };:"))
    assert (result.outcome, result.reward, result.terminated) == (Outcome.DEATH, 0.0, True)


def test_a_lost_grading_container_is_no_verdict(grid, monkeypatch):
    from crl.sandbox import SandboxError

    def lost(*_):
        raise SandboxError("gone")

    grid.reset(local_task("ringbuffer"))
    monkeypatch.setattr(env_module, "grade", lost)
    with pytest.raises(EnvCrash):
        grid.step("submit")


def test_a_missing_harness_is_told_at_the_start(grid, monkeypatch):
    monkeypatch.setattr("crl.envs.swe.harness.find_spec", lambda name: None)
    with pytest.raises(EnvUnavailable, match="swebench"):
        grid.reset(local_task("ringbuffer"))


def test_slots_needs_the_local_sets_candidates(slots):
    task = local_task("ringbuffer")
    foreign = from_payload(task.payload).model_copy(update={"candidates": ()})
    with pytest.raises(ConfigError, match="only the local set"):
        slots.reset(replace(task, payload=foreign.payload()))


def test_the_archive_of_an_instance_is_the_same_every_time():
    files = local_instance("money").files
    assert tar_of(files) == tar_of(dict(reversed(files.items())))
    with tarfile.open(fileobj=io.BytesIO(tar_of(files))) as archive:
        assert archive.getnames() == sorted(files)
    assert json.loads(local_task("money").payload)["files"] == dict(files)
