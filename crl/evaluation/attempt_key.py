"""The key of the attempt log: all that an attempt of the pass@k stage depends on, and nothing else.

Where files and servers are, and how many attempts are wanted, changes no attempt and is not in it.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import crl
from crl.config import Config
from crl.envs.registry import family_class
from crl.types import Task

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")
# Rooms that no attempt reaches: there is no bank, nothing learns, and nothing is reported while one is played.
IDLE_ROOMS = {"bank", "cli", "doctor", "embedding", "learn", "plan", "remote", "report", "round", "serve"}


def attempt_key(config: Config, tasks: Sequence[Task], actor: str) -> str:
    """Equal keys: attempts of one may stand for attempts of the other. `actor` is the digest of the base actor's folder."""
    settings = config.model_dump(
        mode="json",
        include={
            "run": {"seed", "device"},
            "envs": {"observation": True, "sandbox": True},
            "models": {"actor": {"context_tokens", "dtype"}},
            "engine": {"kind"},
            "rollout": {"sampling"},
            "actor": True,
            "pass_rate": {"policy"},
        },
    )
    del settings["envs"]["sandbox"]["warm"]  # containers kept ready
    libraries = {name: version(name) for name in LIBRARIES}
    code = code_digest(families={task.family for task in tasks})
    values = [settings, libraries, code, actor, [astuple(task) for task in tasks]]
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8).hexdigest()


def code_digest(families: Iterable[str] = (), folder: Path = Path(crl.__file__).parent) -> str:
    """Digest of the library's code without `IDLE_ROOMS`, and of the packages of families from outside it."""
    files = {
        file.relative_to(folder).as_posix(): file
        for file in folder.rglob("*.py")
        if file.relative_to(folder).parts[0] not in IDLE_ROOMS
    }
    for module in {family_class(name).__module__ for name in families}:
        if module.partition(".")[0] != "crl":
            files |= {f"{module}: {file.name}": file for file in _beside(module)}
    digest = hashlib.blake2b(digest_size=16)
    for name, file in sorted(files.items()):
        digest.update(f"{name}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _beside(module: str) -> list[Path]:
    """The module's file, and with it all of the folder where it lies in a package."""
    file = Path(import_module(module).__file__)
    return sorted(file.parent.rglob("*.py")) if "." in module else [file]
