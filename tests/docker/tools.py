"""Docker as a user calls it: the client, Compose and this repository's scripts."""

import os
import subprocess
from pathlib import Path

from crl.config.play import ModelConfig
from crl.config.servers import EngineConfig
from crl.engine.vllm.serve import command

ROOT = Path(__file__).parents[2]
PROFILES = ("core", "worker", "gpu", "sandbox")


def run(*words: str, environment: dict[str, str] | None = None, timeout_s: float = 900) -> str:
    """Its standard output; a failure shows both streams."""
    done = subprocess.run(
        words, cwd=ROOT, env=os.environ | (environment or {}), capture_output=True, text=True, timeout=timeout_s
    )
    assert done.returncode == 0, f"{' '.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def compose_arguments(*profiles: str) -> list[str]:
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    return ["docker", "compose", "--env-file", "/dev/null", "-f", "docker/compose.yaml", *chosen]


def started_as_the_library_does(role: str, flags: list[str]) -> None:
    """Assert that these flags of a vLLM server are those of `crl.engine.vllm.serve`, but for the model and its context."""
    config = EngineConfig(memory_share=0.1) if role == "embedder" else EngineConfig()
    context = next((word.partition("=")[2] for word in flags if "max-model-len" in word), "1024")
    expected, _ = command(
        "MODEL", port=8000, role=role, config=config, device="cuda",
        model_config=ModelConfig(context_tokens=int(context), dtype="bfloat16"),
    )  # fmt: skip
    ours = {word for word in flags if not word.startswith("--model=")}
    theirs = {word for word in expected[3:] if not word.startswith(("--model=", "--host=", "--port="))}
    assert ours - {"--tensor-parallel-size=1"} == theirs - {"--tensor-parallel-size=1"}
