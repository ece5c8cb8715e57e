"""Environment families by name: built in, installed by other packages, or named as `module:Class`.

A family is a class `F(observation: str)` that satisfies `TextEnv`; what else it may offer stands in
`crl.envs.family`. Other packages add theirs under the entry-point group `crl.envs`; nothing is imported
before it is asked for.
"""

from crl.config.sandbox import SandboxConfig
from crl.envs.contract import TextEnv
from crl.errors import ConfigError
from crl.named import known, load_named

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
    return known(BUILT_IN, GROUP)


def make_env(family: str, observation: str, sandbox: SandboxConfig | None = None) -> TextEnv:
    """A new environment of a family. Raises ConfigError for an unknown family or observation style."""
    if observation not in OBSERVATIONS:
        raise ConfigError(f"envs.observation = {observation!r}: unknown. Remedy: use one of {', '.join(OBSERVATIONS)}")
    made = family_class(family)
    return made(observation, sandbox or SandboxConfig()) if getattr(made, "sandboxed", False) else made(observation)


def family_class(family: str) -> type:
    """The family's class. Raises ConfigError for one that is unknown or does not load."""
    return load_named(family, BUILT_IN, field="family", what="environment family", group=GROUP)
