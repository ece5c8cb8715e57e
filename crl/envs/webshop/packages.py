"""The optional packages of this family, imported when first used: `import crl` must not need them."""

import logging
from functools import cache
from types import ModuleType
from typing import Any

from crl.envs.optional import load


def demand() -> None:
    """Raises EnvUnavailable where a package is missing: at the start of an episode rather than at its first search."""
    fuzzy(), bm25()


@cache
def fuzzy() -> tuple[ModuleType, Any]:
    """rapidfuzz's `fuzz` and its text preprocessing."""
    return load("rapidfuzz.fuzz", "webshop"), load("rapidfuzz.utils", "webshop").default_process


@cache
def bm25() -> tuple[ModuleType, Any]:
    """bm25s and an English stemmer."""
    library = load("bm25s", "webshop")
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG and tells of every index
    return library, load("Stemmer", "webshop").Stemmer("english")
