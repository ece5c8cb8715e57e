"""Environment families and observation styles by name: built in, installed by other packages, or `module:Class`.

A family is a class that satisfies `TextEnv`; what else it may offer stands in `crl.envs.family`. A style turns a
family's environment into the one that is played: `grid` takes it as it is, with all that a model which reads can use;
`slots` wraps it for tiny models. Nothing is imported before it is asked for.
"""

from inspect import signature

from crl.config.choices import OBSERVATIONS
from crl.config.sandbox import SandboxConfig
from crl.envs.contract import TextEnv
from crl.envs.optional import missing
from crl.errors import ConfigError
from crl.named import Choice

BUILT_IN = {
    "minihack": "crl.envs.minihack.env:MiniHackEnv",
    "sokoban": "crl.envs.sokoban.env:SokobanEnv",
    "alfworld": "crl.envs.alfworld.env:AlfWorldEnv",
    "webshop": "crl.envs.webshop.env:WebShopEnv",
    "swe": "crl.envs.swe.env:SweEnv",
    "rules": "crl.envs.rules.env:RulesEnv",
}
FAMILIES = Choice("environment family", "crl.envs", lambda: BUILT_IN)


def families() -> dict[str, str]:
    """Family name -> `module:Class`, built-in and installed, sorted by name."""
    return FAMILIES.known()


def make_env(family: str, observation: str, sandbox: SandboxConfig | None = None) -> TextEnv:
    """A new environment of a family in a style. Raises ConfigError for an unknown one, EnvUnavailable.

    The family's constructor is given what it names: `observation`, the style (for classes that have more than one text
    of their own), and `sandbox`, the settings of its containers.
    """
    style = OBSERVATIONS.load(observation, "envs.observation")
    made = family_class(family)
    offered = {"observation": observation, "sandbox": sandbox or SandboxConfig()}
    wanted = signature(made).parameters
    return style(family, made(**{name: value for name, value in offered.items() if name in wanted}))


def family_class(family: str) -> type:
    """The family's class. Raises ConfigError for one that does not load, EnvUnavailable where a built-in one lacks a package."""
    try:
        return FAMILIES.load(family, "family")
    except ConfigError as error:
        if isinstance(error.__cause__, ModuleNotFoundError) and is_built_in(family):
            raise missing(family, error.__cause__) from error.__cause__
        raise


def is_built_in(family: str) -> bool:
    """Whether the family is ours: then a module that is not found is an optional package of it, and no slip."""
    return family_name(family) in BUILT_IN


def family_name(family: str) -> str:
    """The name of a family that may be given as `module:Class`."""
    return next((name for name, target in families().items() if target == family), family)


def as_it_is(family: str, env: TextEnv) -> TextEnv:
    """The style `grid`."""
    return env
