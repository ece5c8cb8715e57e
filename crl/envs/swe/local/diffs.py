"""Git patches and commit names without git: the generator runs where only Python is."""

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from itertools import groupby

from crl.envs.swe.instances import Edit
from crl.envs.swe.tree import COMMIT_AUTHOR, COMMIT_MESSAGE, COMMIT_TIME_S
from crl.errors import DataError


def edited(files: Mapping[str, str], edits: Iterable[Edit]) -> dict[str, str]:
    """The files after the edits, one after the other. Raises DataError where a text does not occur exactly once."""
    result = dict(files)
    for edit in edits:
        text = result.get(edit.path, "")
        if text.count(edit.old) != 1:
            raise DataError(
                f"edit of {edit.path}: {edit.old[:60]!r} occurs {text.count(edit.old)} times. "
                "Remedy: quote a text that occurs exactly once"
            )
        result[edit.path] = text.replace(edit.old, edit.new)
    return result


def patch(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """What `git diff` would say of the changed files; both sides hold the same paths, and every file ends with a newline."""
    return "".join(
        f"diff --git a/{path} b/{path}\n"
        + "".join(
            difflib.unified_diff(
                before[path].splitlines(keepends=True), after[path].splitlines(keepends=True), f"a/{path}", f"b/{path}"
            )
        )
        for path in sorted(before)
        if before[path] != after[path]
    )


def commit_name(files: Mapping[str, str]) -> str:
    """The SHA-1 that git gives the squashed commit of these files (all of mode 644), see `crl.envs.swe.tree`."""
    who = f"{COMMIT_AUTHOR} {COMMIT_TIME_S} +0000"
    text = f"tree {_tree(files).hex()}\nauthor {who}\ncommitter {who}\n\n{COMMIT_MESSAGE}\n"
    return _name("commit", text.encode()).hex()


def _tree(files: Mapping[str, str]) -> bytes:
    entries: list[tuple[str, bytes, bytes]] = []  # sort key, mode and name, object
    for top, paths in groupby(sorted(files), key=lambda path: path.partition("/")[0]):
        inner = {path.partition("/")[2]: files[path] for path in paths}
        if "" in inner:
            entries.append((top, f"100644 {top}".encode(), _name("blob", inner[""].encode())))
        else:
            entries.append((f"{top}/", f"40000 {top}".encode(), _tree(inner)))
    return _name("tree", b"".join(head + b"\0" + name for _, head, name in sorted(entries)))


def _name(kind: str, content: bytes) -> bytes:
    return hashlib.sha1(f"{kind} {len(content)}".encode() + b"\0" + content).digest()
