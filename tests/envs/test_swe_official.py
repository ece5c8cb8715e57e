"""An image like the official ones of SWE-bench: the repository comes from /testbed, later commits lie in its history."""

import subprocess
from dataclasses import replace

import pytest

from crl.envs.swe.env import SweEnv
from crl.envs.swe.grading import grade
from crl.envs.swe.tools import render
from crl.envs.swe.tree import SQUASH, tar_of
from crl.types import Outcome
from tests.envs.swe_tasks import CONFIG, demand_engine, local_instance, local_task

NOT_WARM = CONFIG.model_copy(update={"warm": 0})  # a container that waits would keep the image from being removed


@pytest.fixture(scope="module")
def official():
    """An image like those of SWE-bench: the repository in /testbed, checked out at the base, with later commits in its history."""
    import docker

    demand_engine()
    instance = local_instance("lrucache")
    client = docker.from_env()
    made = client.api.create_container(CONFIG.image, command=["true"], network_disabled=True)
    try:
        client.api.put_archive(made["Id"], "/testbed", _with_history(instance.files))
        image = client.api.commit(made["Id"], repository="crl-test/official", tag="1")["Id"]
    finally:
        client.api.remove_container(made["Id"], force=True)
    yield instance.model_copy(update={"image": image, "files": {}, "candidates": ()})
    client.images.remove(image, force=True)


def _with_history(files) -> bytes:
    """The repository at the base commit of the local set, with the repair as a later commit on another branch."""
    script = f"""cd $(mktemp -d) && tar -x && {SQUASH} > /dev/null && git branch -q base && echo '# the repair' >> lrucache.py &&
    git -c user.name=a -c user.email=a@b commit -qam 'secret repair' && git branch -q future && git checkout -q -B main base &&
    tar -c --owner=0 --group=0 . """
    return subprocess.run(["bash", "-c", script], input=tar_of(files), capture_output=True, check=True).stdout


def test_an_official_image_is_played_without_its_history_and_graded_with_it(official):
    env = SweEnv(NOT_WARM)
    task = replace(local_task("lrucache"), payload=official.payload())
    env.reset(task)

    def bash(command: str) -> str:
        return env.step(render("bash", command=command)).observation.text

    assert bash("git log --all --format=%s") == "base"
    assert "secret repair" not in bash("git log --all -p; cat .git/packed-refs; ls .git")
    for action in SweEnv.solution(task):
        result = env.step(action)
    assert (result.outcome, result.info["score"]) == (Outcome.SUCCESS, 1.0)
    env.close()
    assert not grade(official, "", NOT_WARM).resolved
