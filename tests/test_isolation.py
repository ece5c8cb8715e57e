"""Killed in mid-episode: a worker, a container, the Docker engine. What is lost is played again, and the run goes on."""

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from crl.config import Config, from_mapping
from crl.config.compose import compose
from crl.engine.spoken import Speaker, SpokenEngine
from crl.envs.hosting.pool import EnvPool
from crl.envs.swe.scripted import solution
from crl.envs.swe.tools import render
from crl.episode import many
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.models.chat import ChatFormat
from crl.tiny.tokenizer import train_tokenizer
from crl.types import Episode, EpisodeKey, Outcome
from tests.end_to_end import CONF
from tests.envs.swe_tasks import demand_engine, local_tasks
from tests.envs.workers import newest_workers
from tests.sandbox.containers import orphans, ours
from tests.sandbox.proxy import Proxy
from tests.waiting import until

GO = "/tmp/go"
WAIT = render("bash", command=f"until [ -e {GO} ]; do sleep 0.2; done")
EPISODES, LIVE = 4, 2


def oracle(specs: dict[str, EpisodeSpec], chat: ChatFormat, killing: asyncio.Event) -> SpokenEngine:
    """Waits, where nobody has been killed yet, then repairs."""

    def speaker(key: str) -> Speaker:
        lines = iter((*([] if killing.is_set() else [WAIT]), *solution(specs[key].task)))
        return lambda heard: next(lines, "")

    return SpokenEngine(speaker, chat, 10**9)


def processes(container: str) -> str:
    """What runs in it; empty when it is gone."""
    return subprocess.run(["docker", "top", container], capture_output=True, text=True, check=False).stdout


def config() -> Config:
    values = compose("swe", [], CONF)
    values["envs"] |= {"observation": "grid", "workers": LIVE, "call_timeout_s": 400.0}
    values["envs"]["sandbox"] |= {"warm": 0, "command_timeout_s": 180.0}  # for which it would wait
    values["rollout"] |= {"attempts": 3}
    return from_mapping(values)


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    demand_engine()
    made = Proxy(tmp_path / "docker.sock", "/var/run/docker.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("what", "lost"), [("worker", 1), ("container", 1), ("engine", LIVE)])
async def test_what_a_kill_loses_is_played_again_and_every_episode_ends(
    what: str, lost: int, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, record_property
) -> None:
    chosen = config()
    specs = [EpisodeSpec(EpisodeKey(0, i, 0), task, guided=False) for i, task in enumerate(local_tasks()[:EPISODES])]
    played: Counter[str] = Counter()

    async def counted(player: Player, spec: EpisodeSpec) -> Episode:
        played[str(spec.key)] += 1
        return await original(player, spec)

    original = many.play
    monkeypatch.setattr(many, "play", counted)
    monkeypatch.delenv("DOCKER_HOST") if what != "engine" else None
    before, killing = orphans(), asyncio.Event()
    with EnvPool(chosen.envs) as pool:
        chat = ChatFormat(train_tokenizer(["a word"] * 9, 400))
        engine = oracle({str(spec.key): spec for spec in specs}, chat, killing)
        player = Player(chosen, "run", engine, chat, pool)
        running = asyncio.create_task(many.play_all(player, specs, live=LIVE))
        while len(mine := {name for name in ours() if GO in processes(name)}) < LIVE:
            assert not running.done(), "it ended before it could be killed"
            await asyncio.sleep(0.1)
        killing.set()
        killed_s = time.monotonic()
        match what:
            case "worker":
                os.kill(newest_workers(LIVE)[0], signal.SIGKILL)
            case "container":
                subprocess.run(["docker", "kill", mine.pop()], check=True, capture_output=True)
            case "engine":
                proxy.cut()
                await asyncio.sleep(1.5)  # as long as dockerd needs to restart (docs/sandbox.md)
                proxy.up = True
        for name in mine:  # who was not killed goes on
            subprocess.run(["docker", "exec", "--user", "1000", name, "touch", GO], check=False, capture_output=True)
        ends = await running
    record_property("seconds_after_the_kill", time.monotonic() - killed_s)
    assert [type(end) for end in ends] == [Episode] * EPISODES
    assert [end.outcome for end in ends] == [Outcome.SUCCESS] * EPISODES
    assert sum(count > 1 for count in played.values()) == lost
    await asyncio.to_thread(until, lambda: orphans() <= before, "no container is left behind")
