"""Implementations by name: built in, installed by other packages, or given as `module:Class`.

Environments, engines, objectives and the like are all found here, so that what a parameter may name is told in
one way. Nothing is imported before it is asked for.
"""

import difflib
import pkgutil
import sys
from collections.abc import Mapping
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


def known(built_in: Mapping[str, str], group: str) -> dict[str, str]:
    """Name -> `module:Class` of what is built in and of what packages add under the entry-point group, sorted by name.

    A built-in name cannot be taken over by a package.
    """
    return dict(sorted((_installed(group, tuple(sys.path)) | dict(built_in)).items()))


@cache
def _installed(group: str, path: tuple[str, ...]) -> dict[str, str]:
    """What packages on `sys.path` add; a look at all of them takes tens of milliseconds, and environments are made often."""
    return {point.name: point.value for point in entry_points(group=group)}


def load_named(value: str, built_in: Mapping[str, str], *, field: str, what: str, group: str) -> Any:
    """The class (or function) that `value` names. Raises ConfigError for one that is unknown or does not load.

    Args:
        value: a known name, or `module:Class`
        field: the parameter that holds it, for the error
        what: what it should be, for the error: "environment family"
        group: entry-point group under which other packages add theirs
    """
    target = target_of(value, built_in, field=field, what=what, group=group)
    module, _, name = target.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{field} = {value!r}: {target} does not load ({error}). Remedy: correct it") from error


def target_of(value: str, built_in: Mapping[str, str], *, field: str, what: str, group: str) -> str:
    """`module:Class` of what `value` names, which is not imported. Raises ConfigError for an unknown name."""
    names = known(built_in, group)
    target = value if ":" in value else names.get(value)
    if target is None:
        near = difflib.get_close_matches(value, names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"{field} = {value!r}: no such {what}. Remedy: {hint}use one of {', '.join(names)}, 'module:Class', or "
            f"install a package with an entry point in the group {group!r}"
        )
    return target
