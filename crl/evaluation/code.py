"""Whether stored episodes may stand for new ones: digests of the code that plays, and of all that an attempt depends on."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import crl
from crl.config import Config
from crl.config.choices import ACTOR_PROMPTS, EMBEDDERS, EXTRACTOR_PROMPTS, OBSERVATIONS
from crl.envs.registry import family_class
from crl.types import Task

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")
# Rooms that no episode reaches while a policy is evaluated: nothing learns then, and nothing is reported.
IDLE_ROOMS = frozenset({"cli", "doctor", "learn", "plan", "publish", "remote", "report", "round", "serve", "study"})
GUIDING_ROOMS = frozenset({"bank", "embedding"})  # reached by guided episodes only


def attempt_key(config: Config, tasks: Sequence[Task], actor: str) -> str:
    """The key of the pass@k stage's attempt log. Equal keys: attempts of one may stand for attempts of the other.

    Where files and servers are, and how many attempts are wanted, changes no attempt and is not in it. `actor` is the
    digest of the base actor's folder.
    """
    settings = config.model_dump(
        mode="json",
        include={
            "run": {"seed", "device"},
            "envs": {"observation": True, "sandbox": True},
            "models": {"actor": {"context_tokens", "dtype", "template_arguments"}},
            "engine": {"kind"},
            "rollout": {"sampling"},
            "actor": True,
            "pass_rate": {"policy"},
        },
    )
    del settings["envs"]["sandbox"]["warm"]  # containers kept ready
    code = code_that_plays(config, tasks, guided=False)
    values = [settings, code, actor, [astuple(task) for task in tasks]]
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8).hexdigest()


def code_that_plays(config: Config, tasks: Sequence[Task], *, guided: bool) -> str:
    """Digest of the library's code, of what the parameters name outside it, and of the versions of `LIBRARIES`.

    `guided`: whether episodes have experience, or are all free.
    """
    idle = IDLE_ROOMS if guided else IDLE_ROOMS | GUIDING_ROOMS
    modules = {thing.__module__ for thing in _named(config, tasks, guided)}
    values = [code_digest(modules, idle), {name: version(name) for name in LIBRARIES}]
    return hashlib.blake2b(json.dumps(values).encode(), digest_size=16).hexdigest()


def _named(config: Config, tasks: Sequence[Task], guided: bool) -> list[Any]:
    """The classes and functions that play, which may come from other packages."""
    families = [family_class(name) for name in sorted({task.family for task in tasks})]
    style = OBSERVATIONS.load(config.envs.observation, "envs.observation")
    actor = ACTOR_PROMPTS.load(config.actor.prompts, "actor.prompts")
    named = [*families, style, actor, config.engine.declared]
    if guided:
        named.append(EXTRACTOR_PROMPTS.load(config.extractor.prompts, "extractor.prompts"))
    if guided and ":" in config.models.embedder:
        named.append(EMBEDDERS.load(config.models.embedder, "models.embedder"))
    return named


def code_digest(
    modules: Iterable[str] = (), idle: Iterable[str] = IDLE_ROOMS, folder: Path = Path(crl.__file__).parent
) -> str:
    """Digest of the library in `folder` without the rooms `idle`, and of those of the `modules` that lie outside it."""
    files = {
        file.relative_to(folder).as_posix(): file
        for file in folder.rglob("*.py")
        if file.relative_to(folder).parts[0] not in idle
    }
    for module in modules:
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
