"""What infrastructure loses has a cause of its own, is played again, is counted, and leaves nothing running."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import crl
from crl.bank.retrieval import Retriever
from crl.envs.errors import EnvCrash, EnvTimeout, EnvUnavailable
from crl.envs.hosting.pool import EnvPool
from crl.episode import many
from crl.episode.many import play_all, stop_if_too_many_failed
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.episode.spectators import Spectator
from crl.errors import (
    BankError,
    ConfigError,
    CrlError,
    DataError,
    DiskFull,
    EngineError,
    EnvError,
    RetrievalError,
    RunStopped,
)
from crl.models.chat import ChatFormat
from crl.sandbox.errors import SandboxBroken, SandboxError, SandboxUnavailable
from crl.tasks.sets import request
from crl.types import EpisodeKey, FailureCause
from tests.episode.test_rollout import Speaker, always, config_for, episodes

CAUSES = {
    CrlError: None,
    ConfigError: None,
    DataError: None,
    DiskFull: None,  # no episode's fault, and none could be written
    RunStopped: None,
    BankError: None,  # the bank itself is at odds: going on would make it worse
    EnvError: FailureCause.ENV_CONTRACT,
    EnvCrash: FailureCause.ENV_CRASH,
    EnvTimeout: FailureCause.ENV_TIMEOUT,
    EnvUnavailable: FailureCause.ENV_UNAVAILABLE,
    SandboxError: FailureCause.SANDBOX,
    SandboxUnavailable: FailureCause.SANDBOX,
    SandboxBroken: FailureCause.ENV_CONTRACT,
    EngineError: FailureCause.ENGINE,
    RetrievalError: FailureCause.RETRIEVAL,
}
INFRASTRUCTURE = {kind: cause for kind, cause in CAUSES.items() if cause}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch) -> None:
    monkeypatch.setattr(many, "FIRST_PAUSE_S", 0.0)


class Failing:
    """Stands where a part of the player stands, and raises the same error at each call."""

    def __init__(self, error: Exception) -> None:
        self.error, self.calls = error, 0

    async def retrieve(self, scope: str, text: str, *, key: str, round: int) -> list:
        self.calls += 1
        raise self.error


def test_every_error_of_the_library_says_what_an_episode_is_lost_to():
    code = "\n".join(file.read_text() for file in Path(crl.__file__).parent.rglob("*.py"))
    names, before = {"CrlError"}, set()
    while names != before:
        before = set(names)
        names |= {name for name, base in re.findall(r"^class (\w+)\((\w+)\):", code, re.MULTILINE) if base in before}
    assert {kind.__name__: kind.cause for kind in CAUSES} == {kind.__name__: cause for kind, cause in CAUSES.items()}
    assert names == {kind.__name__ for kind in CAUSES}


@pytest.mark.parametrize("kind", INFRASTRUCTURE)
async def test_an_episode_lost_to_infrastructure_is_played_again_and_counted_under_its_cause(
    chat: ChatFormat, kind: type[CrlError]
) -> None:
    failing = Failing(kind("lost"))
    [end], _ = await episodes(config_for(), chat, always("right"), guided=True, retriever=failing)
    assert (end.cause, end.attempts, failing.calls) == (INFRASTRUCTURE[kind], 2, 2)
    with pytest.raises(RunStopped, match=f"1 of 1 episodes failed.*{end.cause}: lost"):
        stop_if_too_many_failed([end], 0.1)


@pytest.mark.parametrize("kind", [kind for kind, cause in CAUSES.items() if cause is None])
async def test_what_is_no_infrastructure_ends_the_run_at_once(chat: ChatFormat, kind: type[CrlError]) -> None:
    failing = Failing(kind("wrong"))
    with pytest.raises(kind, match="wrong"):
        await episodes(config_for(), chat, always("right"), guided=True, retriever=failing)
    assert failing.calls == 1


async def test_a_retrieval_past_its_deadline_costs_a_try_and_not_the_run(chat: ChatFormat) -> None:
    class Asleep:
        name, dim = "asleep", 2

        def embed(self, texts, *, one_by_one=False):
            raise AssertionError("the batch is never sent")

    retrieval = config_for().retrieval.model_copy(update={"batch_wait_ms": 3_600_000.0, "batch_queries": 1000})
    retriever = Retriever(None, retrieval, Asleep(), seed=1, deadline_s=0.05)
    [end], _ = await episodes(config_for(), chat, always("right"), guided=True, retriever=retriever)
    retriever._timer.cancel()
    retriever.close()
    assert (end.cause, end.attempts) == (FailureCause.RETRIEVAL, 2)


async def test_when_an_episode_ends_the_run_its_siblings_end_with_it(chat: ChatFormat) -> None:
    left = []

    class Voice(Speaker):
        def session(self, key: str):
            voice = super().session(key)
            generate = voice.generate

            async def watched(*request):
                try:
                    return await generate(*request)
                except asyncio.CancelledError:
                    await asyncio.sleep(0)  # what a real engine does to give its slot back
                    left.append(key)
                    raise

            voice.generate = watched
            return voice

    def words(key: str) -> Iterator[str]:
        return always("HANG")(key) if key.endswith("e1") else always("left")(key)

    class Refusing(Spectator):
        def ended(self, end) -> None:
            raise DataError("no room on the disk")

    config = config_for(rollout__episode_timeout_s=60.0)
    task = request(config, "walk", "train").task(1)
    specs = [EpisodeSpec(EpisodeKey(0, 0, index), task, guided=False) for index in range(2)]
    with EnvPool(config.envs) as pool:
        player = Player(config, "run", Voice(chat, words), chat, pool, spectators=(Refusing(),))
        with pytest.raises(DataError, match="no room on the disk"):
            await play_all(player, specs, live=2)
    assert left == ["r0.g0.e1"]  # before the call returned
