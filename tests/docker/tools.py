"""Docker as a user calls it: the client, Compose and this repository's scripts."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROFILES = ("core", "worker", "gpu", "sandbox")


def run(*command: str, environment: dict[str, str] | None = None, timeout_s: float = 900) -> str:
    """Its standard output; a failure shows both streams."""
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | (environment or {}), capture_output=True, text=True, timeout=timeout_s
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def compose_arguments(*profiles: str) -> list[str]:
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    return ["docker", "compose", "--env-file", "/dev/null", "-f", "docker/compose.yaml", *chosen]
