"""What a model's patch may touch. The patch is untrusted text: it is read strictly, and refused when anything is unusual.

    reason = refusal(patch, instance)   # "" when it may be graded

Paths are refused by what they could do to the grading: tests, pytest's and Python's start-up files, build files, git's own
folders, links, binaries, modules that would shadow pytest or the standard library. A second net are texts by which code would
end or forge a test run from inside (`TAMPERING`); a text that the reference repair itself adds is let through. Code under
test runs in the tests' process, so no such list can be complete; see docs/envs/swe.md.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from crl.envs.swe.instances import Instance

MAX_PATCH_BYTES = 200_000
_MODES = ("100644", "100755")
_PROTECTED_NAMES = {
    "conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "setup.cfg", "setup.py",
    "tox.ini", "noxfile.py", "sitecustomize.py", "usercustomize.py", ".coveragerc", "tests.py", "runtests.py",
    ".bashrc", ".profile", ".bash_profile",
}  # fmt: skip
_PROTECTED_SUFFIXES = (".pth", ".so", ".pyc", ".pyd", ".egg-link")
_PROTECTED_FOLDERS = {"test", "tests", "testing", "__pycache__", "site-packages", ".github"}
_TEST_FILE = re.compile(r"test_.*\.py|.*_test\.py", re.IGNORECASE)
_SHADOWS = {"pytest", "_pytest", "pluggy", "iniconfig", "py", "attr"} | sys.stdlib_module_names
TAMPERING = re.compile(
    r"\b_exit\b|\batexit\b|\bos\.abort\b|/proc/self|\b_pytest\b|\bpytest_[a-z_]+\b|\bpytest\.exit\b|\bxfail\b|>>>>>"
    r"|\b(?:PASSED|FAILED|XFAIL)\s+\S+::|\bpassed in \d|\bgc\.get_(?:objects|referrers)\b|\bsys\.(?:settrace|setprofile)\b"
)
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


@dataclass(slots=True)
class FilePatch:
    """One file's part of a patch."""

    path: str
    created: bool = False
    deleted: bool = False
    added: list[str] = field(default_factory=list)  # new lines, without the sign


class Refused(ValueError):
    """The patch may not be graded; the message says why."""


def refusal(patch: str, instance: Instance) -> str:
    """Why the patch may not be graded; "" when it may (an empty one, too)."""
    try:
        gold = {part.path: part for part in parse(instance.patch)}
        parts = parse(patch)
    except Refused as refused:
        return str(refused)
    allowed = {match[0] for part in gold.values() for line in part.added for match in TAMPERING.finditer(line)}
    test_files = set(_header_paths(instance.test_patch))
    for part in parts:
        if reason := _path_fault(part, gold, test_files):
            return f"{part.path}: {reason}"
        for line in part.added:
            if (match := TAMPERING.search(line)) and match[0] not in allowed:
                return f"{part.path}: adds {match[0]!r}, by which code could end or forge the test run"
    return ""


def _path_fault(part: FilePatch, gold: dict[str, FilePatch], test_files: set[str]) -> str:
    path = PurePosixPath(part.path)
    folders, name = [piece.lower() for piece in path.parts[:-1]], path.name.lower()
    if path.is_absolute() or ".." in path.parts or part.path != str(path):
        return "leads outside the repository"
    if any(piece.startswith(".git") for piece in (*folders, name)) and name != ".gitignore":
        return "belongs to git"
    if name in _PROTECTED_NAMES or name.endswith(_PROTECTED_SUFFIXES):
        return "belongs to the test infrastructure"
    if part.path in test_files:
        return "is one of the tests"
    # Where the reference repair touches such a path, the data count it as product code (django/test/client.py).
    if part.path not in gold and (_PROTECTED_FOLDERS & set(folders) or _TEST_FILE.fullmatch(name)):
        return "is one of the tests"
    if part.created and (shadowed := _shadowed(path)):
        return f"would shadow the module {shadowed}"
    return ""


def _shadowed(path: PurePosixPath) -> str:
    """The module of pytest or of Python that a new file at an import root would hide; "" for none."""
    parts = path.parts[1:] if path.parts[0] in ("src", "lib") else path.parts
    if path.suffix != ".py" or len(parts) not in (1, 2):  # neither a module nor a package's
        return ""
    top = parts[0].removesuffix(".py")
    return top if top in _SHADOWS else ""


def parse(patch: str) -> list[FilePatch]:
    """The files of a git patch, read strictly: whatever `git apply` would take another way is refused. Raises Refused."""
    if len(patch.encode(errors="replace")) > MAX_PATCH_BYTES:
        raise Refused(f"the patch is larger than {MAX_PATCH_BYTES} bytes")
    if "\r" in patch or "\0" in patch:
        raise Refused("the patch holds carriage returns or NUL bytes")
    lines = iter(patch.split("\n")[:-1] if patch.endswith("\n") else patch.split("\n") if patch else [])
    parts: list[FilePatch] = []
    line = next(lines, None)
    while line is not None:
        part = FilePatch(_same_path(line))
        if any(part.path == other.path for other in parts):
            raise Refused(f"the patch names {part.path} twice")
        parts.append(part)
        line = _headers(part, lines)
        while line is not None and line.startswith("@@"):
            line = _hunk(part, line, lines)
    return parts


def _same_path(line: str) -> str:
    """`diff --git a/P b/P` with one and the same P; no quotes, so no characters that need them."""
    rest = line.removeprefix("diff --git ")
    middle = len(rest) // 2
    path = rest[2:middle]
    if rest == line or not path or rest != f"a/{path} b/{path}" or '"' in rest:
        raise Refused(f"not the header of a plain file's patch: {line[:80]!r}")
    return path


def _headers(part: FilePatch, lines: Iterator[str]) -> str | None:
    """Read the lines between `diff --git` and the first hunk; returns the line that follows them."""
    for line in lines:
        if line.startswith(("diff --git ", "@@")):
            return line
        kind, _, value = line.rpartition(" ")
        if kind in ("old mode", "new mode", "new file mode", "deleted file mode"):
            if value not in _MODES:
                raise Refused(f"{part.path}: a link, a submodule or an unknown kind of file (mode {value})")
            part.created |= kind == "new file mode"
            part.deleted |= kind == "deleted file mode"
        elif line.startswith("--- "):
            _check_side(part, line[4:], "a/", part.created)
        elif line.startswith("+++ "):
            _check_side(part, line[4:], "b/", part.deleted)
        elif not re.fullmatch(r"index [0-9a-f]+\.\.[0-9a-f]+(?: \d{6})?", line):
            raise Refused(f"{part.path}: not a plain change of text ({line[:60]!r})")
        elif line.split()[-1] not in _MODES and len(line.split()) == 3:
            raise Refused(f"{part.path}: a link, a submodule or an unknown kind of file ({line[:60]!r})")
    return None


def _check_side(part: FilePatch, name: str, prefix: str, absent: bool) -> None:
    # git ends names that hold blanks with a tab
    if name.removesuffix("\t") != ("/dev/null" if absent else prefix + part.path):
        raise Refused(f"{part.path}: its header names another file ({name[:60]!r})")


def _hunk(part: FilePatch, head: str, lines: Iterator[str]) -> str | None:
    """Read one hunk by its own line counts; returns the line that follows it."""
    match = _HUNK.match(head)
    if match is None:
        raise Refused(f"{part.path}: not a hunk's header: {head[:60]!r}")
    old, new = (int(count) if count is not None else 1 for count in match.groups())
    line = next(lines, None)
    while old > 0 or new > 0 or (line is not None and line.startswith("\\")):
        if line is None:
            raise Refused(f"{part.path}: the patch is cut off")
        sign = line[:1] or " "  # some tools strip the blank of an empty context line
        if sign not in " +-\\":
            raise Refused(f"{part.path}: not a line of a hunk: {line[:60]!r}")
        old -= sign in " -"
        new -= sign in " +"
        if sign == "+":
            part.added.append(line[1:])
        line = next(lines, None)
    if old or new:
        raise Refused(f"{part.path}: a hunk's lines do not add up")
    if line is not None and not line.startswith(("@@", "diff --git ")):
        raise Refused(f"{part.path}: text between the parts of the patch: {line[:60]!r}")
    return line


def _header_paths(patch: str) -> Iterator[str]:
    """Every path that a trusted patch names, old and new."""
    for line in patch.splitlines():
        if line.startswith(("--- a/", "+++ b/")):
            yield line[6:].strip()
