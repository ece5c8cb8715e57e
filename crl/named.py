"""Implementations by name: built in, installed by other packages, or given as `module:Class`.

Environments, engines, objectives and the like are all found here, so that what a parameter may name is told in
one way. Nothing is imported before it is asked for.
"""

import difflib
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from crl.errors import ConfigError


def in_folder(package: str, suffix: str) -> dict[str, str]:
    """What is built in as a file each: `cispo.py` holds the class `Cispo` + `suffix`. No file is imported."""
    files = pkgutil.iter_modules(find_spec(package).submodule_search_locations)
    names = [file.name for file in files]
    return {name: f"{package}.{name}:{name.title().replace('_', '')}{suffix}" for name in names}


def in_module(module: str) -> dict[str, str]:
    """What is built in as a function each: the names in the module's `__all__`."""
    return {name: f"{module}:{name}" for name in import_module(module).__all__}


@dataclass(frozen=True, slots=True)
class Choice:
    """Implementations of one kind: built in, and added by packages under the entry-point group."""

    what: str  # one of them is, for errors: "environment family"
    group: str
    built_in: Callable[[], Mapping[str, str]]  # name -> `module:name` of ours

    def known(self) -> dict[str, str]:
        """Name -> `module:name`, sorted by name. A built-in name cannot be taken over by a package."""
        return dict(sorted((_installed(self.group, tuple(sys.path)) | dict(self.built_in())).items()))

    def target(self, value: str, field: str) -> str:
        """`module:name` of what `value` names, which is not imported. Raises ConfigError for an unknown name.

        Args:
            value: a known name, or `module:name`
            field: the parameter that holds it, for the error
        """
        names = self.known()
        target = value if ":" in value else names.get(value)
        if target is None:
            near = difflib.get_close_matches(value, names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(
                f"{field} = {value!r}: no such {self.what}. Remedy: {hint}use one of {', '.join(names)}, 'module:Class', "
                f"or install a package with an entry point in the group {self.group!r}"
            )
        return target

    def load(self, value: str, field: str) -> Any:
        """The class or function. Raises ConfigError for one that is unknown or does not load."""
        target = self.target(value, field)
        module, _, name = target.partition(":")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"{field} = {value!r}: {target} does not load ({error}). Remedy: correct it") from error

    def check(self, value: str, field: str) -> None:
        """Raises ConfigError for a name that nobody knows.

        What is known by name is not imported; `module:name` is, so that a slip is told now and not hours into a run.
        """
        if ":" in value:
            self.load(value, field)
        else:
            self.target(value, field)


@cache
def _installed(group: str, path: tuple[str, ...]) -> dict[str, str]:
    """What packages on `sys.path` add; a look at all of them takes tens of milliseconds, and environments are made often."""
    return {point.name: point.value for point in entry_points(group=group)}
