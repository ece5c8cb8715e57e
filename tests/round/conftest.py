"""Models that all tests of rounds begin with: their warm start costs more than most of the rounds."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

from tests.round import runs


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by whichever of the test processes asks first: they are the same for all, and nobody writes into them."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own  # of this run of pytest
    with FileLock(shared / "models.lock"):
        if not (shared / "models").exists():
            runs.base_models(shared / "models.part").rename(shared / "models")
    return shared / "models"


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """Where a run of its own can be played."""
    (tmp_path / "models").symlink_to(models)
    return tmp_path
