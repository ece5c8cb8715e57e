"""The data that environments of this repository are made from: `data/swe` and `data/webshop`, beside the package `crl`.

In a checkout that is the checkout's own `data/`; images that install `crl` hold a copy (docker/worker, docker/trainer).
"""

from pathlib import Path

from crl.errors import DataError

_DATA = Path(__file__).parents[2] / "data"


def shipped(path: str) -> Path:
    """A file or folder of `data/`, by its path from there. Raises DataError where it is missing."""
    found = _DATA / path
    if not found.exists():
        raise DataError(
            f"{found}: missing, and environments are made from it. Remedy: restore it (`git checkout -- data/{path}`), or, "
            "where crl was installed without its checkout, install it from one: pip install -e PATH_OF_THE_CHECKOUT"
        )
    return found
