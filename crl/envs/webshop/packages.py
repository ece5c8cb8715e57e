"""The optional packages of this family, imported when first used: `import crl` must not need them."""

import logging
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from crl.envs.errors import EnvError


def _load(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise EnvError(
            f"the webshop environment needs the package {name!r}, which does not load ({error}). "
            "Remedy: pip install 'crl[webshop]', or make install"
        ) from error


@cache
def fuzzy() -> tuple[ModuleType, Any]:
    """rapidfuzz's `fuzz` and its text preprocessing."""
    return _load("rapidfuzz.fuzz"), _load("rapidfuzz.utils").default_process


@cache
def bm25() -> tuple[ModuleType, Any]:
    """bm25s and an English stemmer."""
    library = _load("bm25s")
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG and tells of every index
    return library, _load("Stemmer").Stemmer("english")
