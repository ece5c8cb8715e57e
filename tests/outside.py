"""A module of another package, as a team has it: in a folder of its own on Python's path."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def module(name: str, source: str, folder: Path) -> Iterator[None]:
    """Can be imported by `name` inside the block, and is forgotten after it."""
    (folder / f"{name}.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    sys.modules.pop(name, None)
