"""Archives of a repository: checked before they go into a container, cut out of images."""

import io
import tarfile
from collections.abc import Callable
from pathlib import PurePosixPath

from crl.errors import DataError


def check(tar: bytes) -> None:
    """Refuse what would write outside the folder that it is unpacked in, or what no repository holds.

    The unpacking itself runs as uid 1000 inside the container and could harm nothing else; this names the culprit.
    """
    links: set[PurePosixPath] = set()
    try:
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
            for member in archive:
                if reason := _fault(member, links):
                    raise DataError(
                        f"archive of a repository: member {member.name[:200]!r} {reason}. Remedy: make the archive from "
                        "inside the repository, of files, folders and links alone"
                    )
                if member.issym():
                    links.add(PurePosixPath(member.name))
    except (tarfile.TarError, EOFError) as error:
        raise DataError(
            f"archive of a repository: not an uncompressed tar archive ({error}). Remedy: make it with `tar -c`, without -z"
        ) from error


def _fault(member: tarfile.TarInfo, links: set[PurePosixPath]) -> str:
    names = [member.name, member.linkname] if member.islnk() else [member.name]
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            return f"leads outside it ({name[:200]!r})"
        if any(parent in links for parent in path.parents):
            return "lies behind a symbolic link"
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        return "is a device, a pipe or of an unknown kind"
    return ""


def rewritten(tar: bytes, change: Callable[[tarfile.TarInfo], bool]) -> bytes:
    """The archive of the members that `change`, which may rename them, lets through."""
    target = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as old, tarfile.open(fileobj=target, mode="w:") as new:
        for member in old:
            if change(member):
                new.addfile(member, old.extractfile(member) if member.isreg() else None)
    return target.getvalue()


def strip_root(member: tarfile.TarInfo) -> bool:
    """The engine's archive of a folder names each member `folder/...`; ours holds the contents alone."""
    member.name = member.name.partition("/")[2]
    if member.islnk():
        member.linkname = member.linkname.partition("/")[2]
    return bool(member.name)
