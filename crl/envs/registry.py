"""Environment families by name: built in, installed by other packages, or named as `module:Class`.

A family is a class `F(observation: str)` that satisfies `TextEnv`. Other packages add theirs under
the entry-point group `crl.envs`; nothing is imported before it is asked for.
"""

import difflib
from importlib import import_module
from importlib.metadata import entry_points

from crl.envs.base import TextEnv
from crl.errors import ConfigError

GROUP = "crl.envs"
BUILT_IN = {"minihack": "crl.envs.minihack.env:MiniHackEnv"}
OBSERVATIONS = ("slots", "grid")


def families() -> dict[str, str]:
    """Family name -> `module:Class`, built-in and installed, sorted by name."""
    installed = {point.name: point.value for point in entry_points(group=GROUP)}
    return dict(sorted((installed | BUILT_IN).items()))


def make_env(family: str, observation: str) -> TextEnv:
    """A new environment of a family. Raises ConfigError for an unknown family or observation style."""
    if observation not in OBSERVATIONS:
        raise ConfigError(f"envs.observation = {observation!r}: unknown. Remedy: use one of {', '.join(OBSERVATIONS)}")
    return _resolve(family)(observation)


def _resolve(family: str) -> type:
    known = families()
    target = family if ":" in family else known.get(family)
    if target is None:
        near = difflib.get_close_matches(family, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"family = {family!r}: no such environment family. Remedy: {hint}use one of {', '.join(known)}, "
            f"'module:Class', or install a package with an entry point in the group {GROUP!r}"
        )
    module, _, name = target.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"family = {family!r}: {target} does not load ({error}). Remedy: correct it") from error
