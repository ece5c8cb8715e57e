"""Folders that appear whole or not at all, the newest of them, and their digests."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crl.errors import DataError

_ROUND = re.compile(r"round_(\d{4,})")
_LARGE_BYTES = 2**24
_large_digests: dict[tuple[int, ...], str] = {}  # by device, inode, size and time of the last change


def round_folder(parent: Path, round_: int) -> Path:
    return parent / f"round_{round_:04d}"


def file_name(text: str) -> str:
    """The text with a hyphen for each run of what a name of a file or in a registry had better not hold."""
    return re.sub(r"[^\w.-]+", "-", text)


def write_atomically(folder: Path, write: Callable[[Path], None]) -> None:
    """Write beside the target, flush to disk, rename into place: a kill leaves the old state or the new one.

    A folder of that name that is already there is moved aside first; `recover` puts it back after a kill in between.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write(partial)
    for file in partial.rglob("*"):
        if file.is_file():
            _flush(file)
    _flush(partial)
    replaced = folder.with_name(f".{folder.name}.replaced")
    if folder.exists():
        os.rename(folder, replaced)
    os.rename(partial, folder)
    _flush(folder.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def recover(parent: Path) -> None:
    """Put back what a kill between the two renames of a replacement left aside; drop what else was left."""
    for discarded in parent.glob(".*.discarded"):
        shutil.rmtree(discarded, ignore_errors=True)
    for replaced in parent.glob(".*.replaced"):
        folder = parent / replaced.name.removeprefix(".").removesuffix(".replaced")
        if folder.exists():
            shutil.rmtree(replaced)
        else:
            os.rename(replaced, folder)


def discard(folder: Path) -> None:
    """Remove a folder at one stroke: a kill leaves it whole, or aside, where `recover` removes it."""
    aside = folder.with_name(f".{folder.name}.discarded")
    shutil.rmtree(aside, ignore_errors=True)
    os.rename(folder, aside)
    shutil.rmtree(aside, ignore_errors=True)  # another process may be at it: `recover`


def digest_folder(folder: Path) -> str:
    """Hash of a folder's files by name and content."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(item for item in folder.rglob("*") if item.is_file()):
        digest.update(str(file.relative_to(folder)).encode())
        digest.update(bytes.fromhex(digest_file(file)))
    return digest.hexdigest()


def digest_file(file: Path) -> str:
    """Hash of a file's content, which is read in pieces; of a large file once in a process while it stays the same."""
    state = file.stat()
    if state.st_size < _LARGE_BYTES:
        return _digest(file)
    key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
    if key not in _large_digests:
        _large_digests[key] = _digest(file)
    return _large_digests[key]


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def rounds_in(parent: Path) -> list[int]:
    """Rounds that have a folder in `parent`, ascending."""
    if not parent.is_dir():
        return []
    return sorted(int(match[1]) for item in parent.iterdir() if (match := _ROUND.fullmatch(item.name)))


def prune(parent: Path, keep: int) -> None:
    """Remove all but the newest `keep` round folders."""
    for round_ in rounds_in(parent)[:-keep]:
        discard(round_folder(parent, round_))


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """One file, written beside the target, flushed and renamed into place."""
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    write(partial)
    _flush(partial)
    os.replace(partial, path)


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=1, sort_keys=True) + "\n"
    write_file(path, lambda partial: partial.write_text(text))


def read_json(path: Path) -> Any:
    """Raises DataError when the file is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise DataError(f"{path}: missing. Remedy: run the stage that writes it (`dvc repro`)") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not valid JSON ({error}). Remedy: remove it and run `dvc repro`") from None
