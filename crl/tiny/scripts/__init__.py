"""Which family has which script, and the proof that its tasks can be solved; a family's own class may bring both."""

from collections.abc import Callable
from typing import Any

from crl.envs.registry import BUILT_IN, family_class, family_name
from crl.named import Choice
from crl.tiny.scripts.script import Script
from crl.types import Task

SCRIPTS = {name: f"crl.tiny.scripts.{name}:script" for name in BUILT_IN}  # level -> Script
SOLUTIONS = {"minihack": "crl.tiny.scripts.minihack_oracle:solve"}  # of families whose oracle is scripted play


def script_of(family: str, level: str) -> Script | None:
    """The scripted play of a level; None for a family that has none. Raises ConfigError."""
    script = _offered(family, "script", SCRIPTS)
    return None if script is None else script(level)


def solution_of(family: str) -> Callable[[Task], tuple[str, ...]] | None:
    """The oracle: task -> actions of the `grid` style that solve it; None for a family that has none. Raises ConfigError."""
    return _offered(family, "solution", SOLUTIONS)


def _offered(family: str, name: str, ours: dict[str, str]) -> Any:
    if (own := family_name(family)) in ours:
        return Choice(name, f"crl.{name}s", lambda: ours).load(own, "family")
    return getattr(family_class(family), name, None)
