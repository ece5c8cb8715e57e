"""What stands in /testbed: the repository at its base, with one single commit as its history."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from crl.sandbox.archive import rewritten

WORKDIR = "/testbed"
COMMIT_AUTHOR = "base <base@localhost>"
COMMIT_MESSAGE = "base"
COMMIT_TIME_S = 1_704_067_200  # 2024-01-01: the same files always give the same commit

_NAME, _, _MAIL = COMMIT_AUTHOR.rstrip(">").partition(" <")
_WHO = " ".join(
    f"GIT_{role}_NAME={_NAME} GIT_{role}_EMAIL={_MAIL} GIT_{role}_DATE='{COMMIT_TIME_S} +0000'"
    for role in ("AUTHOR", "COMMITTER")
)
# No template: it would only bring sample hooks.
SQUASH = (
    f"git init -q -b main --template= . && git add -A && {_WHO} git commit -q --allow-empty -m {COMMIT_MESSAGE} "
    "&& git rev-parse HEAD"
)


def tar_of(files: Mapping[str, str]) -> bytes:
    """An archive of text files; the same files give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(files):
            content = files[path].encode()
            member = tarfile.TarInfo(path)
            member.size, member.mode, member.mtime = len(content), 0o644, COMMIT_TIME_S
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def without_history(tar: bytes) -> bytes:
    """The archive without any `.git`: later commits, which may hold the repair, never enter an episode's container."""
    return rewritten(tar, lambda member: ".git" not in PurePosixPath(member.name).parts)
