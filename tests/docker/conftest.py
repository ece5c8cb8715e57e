"""Skips where Docker or Compose are missing; .ci/run brings both and lets no test skip."""

import json
import subprocess

import pytest
import torch

from tests.docker.tools import PROFILES, compose_arguments, run


@pytest.fixture(scope="session")
def compose() -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is missing. Remedy: docker/compose.sh")


@pytest.fixture(scope="session")
def project(compose: None) -> dict:
    """compose.yaml with all profiles, resolved without any setting of the user's."""
    return json.loads(run(*compose_arguments(*PROFILES), "config", "--format", "json"))


@pytest.fixture
def gpu_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library says how it would start vLLM where a GPU is; nothing is started."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
