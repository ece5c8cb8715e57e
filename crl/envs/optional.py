"""Packages that a single family needs: imported when first used, and what is said where one is missing.

A family that this machine lacks something for is left out of a run with the remedy, see `crl.tasks.prepare`. A family of
another package says so by `load`, too: what it imports in any other way must be there.
"""

from importlib import import_module
from types import ModuleType

from crl.envs.errors import EnvUnavailable

_REMEDIES = {
    "alfworld": "install a C++ compiler (Debian: apt-get install g++ make), then run `make install` (it compiles crl[alfworld])",
    **{family: f"pip install 'crl[{family}]', or make install" for family in ("minihack", "webshop", "swe")},
}


def load(module: str, family: str) -> ModuleType:
    """Import a module of a family's optional package. Raises EnvUnavailable where it does not load."""
    try:
        return import_module(module)
    except ImportError as error:
        raise missing(family, error) from error


def missing(family: str, error: ImportError) -> EnvUnavailable:
    """That the family cannot be played here, what does not load, and the remedy."""
    remedy = _REMEDIES.get(family, "install it")
    return EnvUnavailable(f"family = {family!r}: a package that it needs does not load ({error}). Remedy: {remedy}")
