"""Models that all tests of rounds begin with: their warm start costs more than most of the rounds."""

from pathlib import Path

import pytest

from tests.round import runs


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.base_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """Where a run of its own can be played."""
    (tmp_path / "models").symlink_to(models)
    return tmp_path
