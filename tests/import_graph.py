"""What imports what in this checkout, read from the source: imports at the top and inside functions, and names in tables.

    python -m tests.import_graph [CHECKOUT]      rooms and arrows between them

A room is a folder of `crl` or `flows`, or a module on their ground floor; an arrow says that one room imports from another.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
TOPS = ("crl", "flows")
# `module:Class` in a table of crl.named, or a module that is run as a process of its own.
_NAMED = re.compile(rf"((?:{'|'.join(TOPS)})(?:\.\w+)+)(?::\w+)?")


@cache
def imported_by(file: Path, root: Path = ROOT) -> frozenset[Path]:
    """The files of `crl` and `flows` that a file imports or names, with their packages' `__init__.py`."""
    tree = ast.parse(file.read_text())
    return frozenset(found for name in _names(tree) for found in _files(name, root)) - {file}


def closure(start: Path, follow: Callable[[Path], bool] = lambda _: True, root: Path = ROOT) -> set[Path]:
    """All files that `start` reaches, itself included; what `follow` refuses is found, and its own imports are not."""
    found, ahead = {start}, [start]
    while ahead:
        new = imported_by(ahead.pop(), root) - found
        found |= new
        ahead += filter(follow, new)
    return found


def room_of(file: Path, root: Path = ROOT) -> str:
    """`crl/bank` for what lies in that folder, `crl/files` for a module on the ground floor."""
    return "/".join(file.relative_to(root).with_suffix("").parts[:2])


def arrows(root: Path = ROOT) -> dict[str, set[str]]:
    """Room -> the rooms that it imports from. The (empty) `__init__.py` of `crl` and `flows` are no rooms."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in (file for top in TOPS for file in (root / top).rglob("*.py")):
        found[room_of(file, root)] |= {room_of(other, root) for other in imported_by(file, root)}
    ground = {f"{top}/__init__" for top in TOPS}
    return {room: others - ground - {room} for room, others in sorted(found.items()) if room not in ground}


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (named := _NAMED.fullmatch(node.value)):
            yield named[1]


def _files(name: str, root: Path) -> Iterator[Path]:
    """The module's file and those of the packages above it; nothing for a name that is no module of ours."""
    parts = name.split(".")
    if parts[0] not in TOPS:
        return
    for end in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:end])
        yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())


def main(root: Path) -> None:
    for top in TOPS:
        found = {room: others for room, others in arrows(root).items() if room.startswith(f"{top}/")}
        for room, others in found.items():
            print(f"{room:<20} -> {' '.join(sorted(others))}")
        inside = [other for others in found.values() for other in others if other.startswith(f"{top}/")]
        print(f"{top}: {len(found)} rooms, {len(inside)} arrows between them\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if sys.argv[1:] else ROOT)
