"""What imports what in this checkout, read from the source: imports at the top and inside functions, and names in tables.

    python -m tests.import_graph [CHECKOUT]      rooms and arrows between them

A room is a folder of `crl` or `flows`, or a module on their ground floor; an arrow says that one room imports from another.
What a table names (`module:Class`, for crl.named) is no arrow: names may point up, and are printed with a `~`.
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
    """The files of `crl` and `flows` that a file imports, with their packages' `__init__.py`."""
    return frozenset(found for name in _imports(ast.parse(file.read_text())) for found in _files(name, root)) - {file}


@cache
def named_by(file: Path, root: Path = ROOT) -> frozenset[Path]:
    """The files that a file names in strings: entries of a table, or modules that run as processes of their own."""
    return frozenset(found for name in _strings(ast.parse(file.read_text())) for found in _files(name, root)) - {file}


def closure(start: Path, follow: Callable[[Path], bool] = lambda _: True, root: Path = ROOT) -> set[Path]:
    """All files that `start` reaches, itself included; what `follow` refuses is found, and its own imports are not."""
    found, ahead = {start}, [start]
    while ahead:
        file = ahead.pop()
        new = (imported_by(file, root) | named_by(file, root)) - found
        found |= new
        ahead += filter(follow, new)
    return found


def room_of(file: Path, root: Path = ROOT) -> str:
    """`crl/bank` for what lies in that folder, `crl/files` for a module on the ground floor."""
    return "/".join(file.relative_to(root).with_suffix("").parts[:2])


def arrows(root: Path = ROOT, of: Callable[[Path, Path], frozenset[Path]] = imported_by) -> dict[str, set[str]]:
    """Room -> the rooms that it imports from, or names. The `__init__.py` of `crl` and `flows` are no rooms."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in (file for top in TOPS for file in (root / top).rglob("*.py")):
        found[room_of(file, root)] |= {room_of(other, root) for other in of(file, root)}
    ground = {f"{top}/__init__" for top in TOPS}
    return {room: others - ground - {room} for room, others in sorted(found.items()) if room not in ground}


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (named := _NAMED.fullmatch(node.value)):
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
    imported, named = arrows(root), arrows(root, named_by)
    for top in TOPS:
        rooms = [room for room in imported if room.startswith(f"{top}/")]
        for room in rooms:
            by_name = (f"~{other}" for other in sorted(named[room] - imported[room]))
            print(f"{room:<20} -> {' '.join([*sorted(imported[room]), *by_name])}")
        inside = [other for room in rooms for other in imported[room] if other.startswith(f"{top}/")]
        print(f"{top}: {len(rooms)} rooms, {len(inside)} arrows between them\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if sys.argv[1:] else ROOT)
