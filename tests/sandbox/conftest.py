"""Real containers, small ones, so that their limits are reached in a moment."""

from collections.abc import Iterator

import pytest

from crl.config.sandbox import SandboxConfig
from crl.sandbox import Sandbox, SandboxPool, SandboxUnavailable

SMALL = SandboxConfig(
    memory_mb=128, disk_mb=32, processes=64, output_chars=4000, command_timeout_s=30, episode_timeout_s=600, warm=0
)


@pytest.fixture(scope="session")
def small() -> SandboxConfig:
    return SMALL


@pytest.fixture(scope="session")
def pool() -> Iterator[SandboxPool]:
    """Skips where no engine answers; .ci/run starts one and lets no test skip."""
    made = SandboxPool(SMALL)
    try:
        made.take().close()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture
def sandbox(pool: SandboxPool) -> Iterator[Sandbox]:
    taken = pool.take()
    yield taken
    taken.close()
