"""What the installed `alfworld` package carries: domain, grammar, goals, kinds of things, floor plans.

Imported lazily: the packages compile C++ at install, so a machine without a compiler lacks them.
"""

import os
import tempfile
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType

from crl.envs import optional

_UNKNOWN_GOAL = "UNKNOWN GOAL"  # the place of the instruction in the package's grammar


def load(module: str) -> ModuleType:
    """Import a module of alfworld's, or one of ours that stands on it. Raises EnvUnavailable when it is not installed."""
    # On import alfworld creates $ALFWORLD_DATA, else a folder in the user's home; we store nothing there.
    os.environ.setdefault("ALFWORLD_DATA", tempfile.gettempdir())
    return optional.load(module, "alfworld")


def constants() -> ModuleType:
    """Which object fits which receptacle, what can be heated, which scenes are for training."""
    return load("alfworld.gen.constants")


def goals() -> dict[str, dict]:
    """Task type -> {"pddl": goal formula with {obj}, {recep}, {toggle}; "templates": instructions}."""
    return load("alfworld.gen.goal_library").gdict


@cache
def domain() -> str:
    """The PDDL domain that the package ships."""
    return Path(load("alfworld.info").ALFRED_PDDL_PATH).read_text()


@lru_cache(maxsize=16)
def grammar(instruction: str = _UNKNOWN_GOAL) -> str:
    """The text grammar that the package ships, with an instruction put in."""
    return Path(load("alfworld.info").ALFRED_TWL2_PATH).read_text().replace(_UNKNOWN_GOAL, instruction)


def layouts() -> Path:
    """The folder of the 120 floor plans."""
    return Path(load("alfworld").__file__).parent / "gen" / "layouts"
