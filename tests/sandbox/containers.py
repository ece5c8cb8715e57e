"""Sandbox containers on this machine by who owns them: other tests' containers come and go meanwhile."""

import os
import subprocess
from collections.abc import Iterator

import psutil

from crl.sandbox.limits import OWNER_LABEL
from crl.sandbox.owner import is_gone


def ours() -> set[str]:
    """Containers that this process or a child of it started."""
    family = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    return {container for container, owner in _owners() if int(owner.split(".")[-2]) in family and not is_gone(owner)}


def orphans() -> set[str]:
    """Containers whose owners are gone, and who were not removed with them."""
    return {container for container, owner in _owners() if is_gone(owner)}


def _owners() -> Iterator[tuple[str, str]]:
    shown = f'{{{{.ID}}}} {{{{.Label "{OWNER_LABEL}"}}}}'
    command = ["docker", "ps", "--all", "--filter", f"label={OWNER_LABEL}", "--format", shown]
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        container, _, owner = line.partition(" ")
        yield container, owner
