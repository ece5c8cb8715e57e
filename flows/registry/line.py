"""What people do to the line of champions in MLflow's pages, and what becomes of the line. Pure: no tracker.

A person's word counts: an alias that was moved by hand stays where it is, and the line says so from then on; a version that was
deleted has left the line. Each is told in one sentence.
"""

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Found:
    """The registry, as a command finds it."""

    line: tuple[int, ...]
    settled: bool  # the aliases had followed this line: where they are not at its end, a person has moved them
    champion: int | None  # the version that the alias is at
    former: int | None
    versions: frozenset[int]  # those that exist


@dataclass(frozen=True, slots=True)
class Mended:
    """The line that counts from now on, and what is told."""

    line: tuple[int, ...]
    told: tuple[str, ...] = ()
    chosen: int | None = None  # what a person has made the champion
    taken_back: tuple[int, ...] = ()  # what a person has moved the champion back from


def mended(found: Found) -> Mended:
    """Promotions and rollbacks by hand, then deleted versions, then the alias `former`."""
    if not found.settled:
        line, told = _without_deleted(found)
        cut_off = found.champion != (line[-1] if line else None) and not told
        return Mended(line, (*told, *([_cut_off(found.champion, line)] if cut_off else [])))
    moved = _moved(found)
    line, deleted = _without_deleted(found, moved.line)
    line, former = _former(found, line)
    return Mended(line, (*moved.told, *deleted, *former), moved.chosen, moved.taken_back)


def _moved(found: Found) -> Mended:
    """After the alias of the champion was moved or removed by hand."""
    line, at = found.line, found.champion
    last = line[-1] if line else None
    if at == last or (at is None and last not in found.versions):
        return Mended(line)
    if at is None:
        was = " ".join(map(str, line))
        return Mended((), (
            f"The alias of the champion was removed by hand: none serves (the line was {was}). Remedy, if that was not meant: "
            f"python -m flows.registry.promotion promote {last}",
        ))  # fmt: skip
    if at not in line:
        since = f"from version {last} " if last else ""
        told = f"The alias of the champion was moved {since}to version {at} by hand: recorded as a promotion by hand."
        return Mended((*line, at), (told,), chosen=at)
    kept = len(line) - line[::-1].index(at)
    told = (
        f"The alias of the champion was moved from version {last} back to version {at} by hand: recorded as a rollback."
    )
    return Mended(line[:kept], (told,), taken_back=line[kept:])


def _without_deleted(found: Found, line: tuple[int, ...] | None = None) -> tuple[tuple[int, ...], tuple[str, ...]]:
    line = found.line if line is None else line
    left = tuple(version for version in line if version in found.versions)
    left = tuple(version for before, version in pairwise((None, *left)) if version != before)  # 1 2 1 without 2
    gone = [version for version in dict.fromkeys(line) if version not in found.versions]
    then = (
        f"version {left[-1]} takes its place"
        if left
        else "none is left, the next evaluation is compared with the base actor"
    )
    told = (
        f"Version {version}, the champion, was deleted in MLflow: {then}."
        if version == line[-1]
        else f"Version {version}, a former champion, was deleted in MLflow: it has left the line."
        for version in gone
    )
    return left, tuple(told)


def _former(found: Found, line: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """After the alias of the former champion was moved or removed by hand."""
    was = found.line[-2] if len(found.line) > 1 else None
    if found.former == was or not line:
        return line, ()
    if found.former is not None and found.former != line[-1]:
        told = (
            f"The alias of the former champion was moved to version {found.former} by hand: a rollback goes back to it."
        )
        return (*line[:-1], found.former, line[-1]), (told,)
    if was not in found.versions:  # it was deleted, and its alias with it
        return line, ()
    goes = f"is at version {line[-2]} again" if len(line) > 1 else "is removed"
    what = f"moved to version {found.former}, the champion," if found.former else "removed"
    return line, (f"The alias of the former champion was {what} by hand: it follows the line, and {goes}.",)


def _cut_off(at: int | None, line: tuple[int, ...]) -> str:
    where = f"was at version {at}" if at else "was nowhere"
    goes = f"it is at version {line[-1]} now" if line else "it is removed now"
    return (
        f"A promotion or rollback was cut off before its aliases followed: the alias of the champion {where}, {goes}."
    )
