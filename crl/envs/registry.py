"""Environment families by name: built in, installed by other packages, or named as `module:Class`.

A family is a class `F(observation: str)` that satisfies `TextEnv`; what else it may offer stands in
`crl.envs.family`. Other packages add theirs under the entry-point group `crl.envs`; nothing is imported
before it is asked for.
"""

import difflib
from importlib import import_module
from importlib.metadata import entry_points

from crl.config.sandbox import SandboxConfig
from crl.envs.base import TextEnv
from crl.errors import ConfigError

GROUP = "crl.envs"
BUILT_IN = {
    "minihack": "crl.envs.minihack.env:MiniHackEnv",
    "sokoban": "crl.envs.sokoban.env:SokobanEnv",
    "alfworld": "crl.envs.alfworld.env:AlfWorldEnv",
    "webshop": "crl.envs.webshop.env:WebShopEnv",
    "swe": "crl.envs.swe.env:SweEnv",
}
OBSERVATIONS = ("slots", "grid")


def families() -> dict[str, str]:
    """Family name -> `module:Class`, built-in and installed, sorted by name."""
    installed = {point.name: point.value for point in entry_points(group=GROUP)}
    return dict(sorted((installed | BUILT_IN).items()))


def make_env(family: str, observation: str, sandbox: SandboxConfig | None = None) -> TextEnv:
    """A new environment of a family. Raises ConfigError for an unknown family or observation style."""
    if observation not in OBSERVATIONS:
        raise ConfigError(f"envs.observation = {observation!r}: unknown. Remedy: use one of {', '.join(OBSERVATIONS)}")
    made = family_class(family)
    return made(observation, sandbox or SandboxConfig()) if getattr(made, "sandboxed", False) else made(observation)


def family_class(family: str) -> type:
    """The family's class. Raises ConfigError for one that is unknown or does not load."""
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
