"""An episode's container: the repository at its base commit, commands, the editor, and what has changed since.

Everything that comes out of it is untrusted text.
"""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

from crl.config.sandbox import SandboxConfig
from crl.envs.swe.instances import Instance
from crl.envs.swe.patches import MAX_PATCH_BYTES
from crl.envs.swe.tree import SQUASH, WORKDIR, tar_of, without_history
from crl.sandbox import CommandResult, Sandbox, SandboxError, export_tree, shared_pool

_EDITOR = "/tmp/.editor.py"
_EDITOR_SOURCE = Path(__file__).with_name("editor_tool.py").read_bytes()
_CHUNK_MARGIN = 200  # characters of a command's kept output that a chunk leaves free
_MAX_READ_BYTES = 32 * 2**20  # unpacked, of one file read out of a container
_DURATION = re.compile(r"\b(passed|failed|errors?|skipped|deselected|warnings?|ran)( in )\d+\.\d+s(?: \([\d:]+\))?")


class Unreadable(ValueError):
    """A file of the container is missing, damaged or too large."""


def open_container(config: SandboxConfig, instance: Instance) -> Sandbox:
    """A fresh container, still without the repository."""
    return shared_pool(config).take(instance.image or None)


def place_base(sandbox: Sandbox, instance: Instance, config: SandboxConfig, *, editor: bool = False) -> str:
    """Put the repository's base with a history of one commit into the container; returns the commit's name."""
    sandbox.put_tree(
        tar_of(instance.files) if instance.files else without_history(export_tree(instance.image, WORKDIR))
    )
    place_editor = f"cat > {_EDITOR} && " if editor else ""
    stdin = _EDITOR_SOURCE if editor else b""
    done = sandbox.run(f"{place_editor}{SQUASH}", timeout_s=config.grading_timeout_s, stdin=stdin)
    name = done.output.strip()[-40:]
    if done.exit_code or not re.fullmatch(r"[0-9a-f]{40}", name):
        raise SandboxError(
            f"{instance.id}: its repository could not be committed (code {done.exit_code}): {done.output[-300:]}. "
            "Remedy: the image needs git and python3"
        )
    return name


class Workspace:
    """One container for one episode. Raises SandboxError when it is lost."""

    def __init__(self, config: SandboxConfig, instance: Instance) -> None:
        self._config = config
        self.sandbox = open_container(config, instance)
        try:
            self._base = place_base(self.sandbox, instance, config, editor=True)
        except BaseException:
            self.sandbox.close()
            raise

    def bash(self, command: str) -> CommandResult:
        """A command of the agent's. Durations in test reports are masked: the same actions shall give the same texts."""
        done = self.sandbox.run(command)
        return CommandResult(done.exit_code, _DURATION.sub(r"\1\2?s", done.output), done.timed_out, done.seconds)

    def edit(self, arguments: Mapping[str, str]) -> CommandResult:
        """One call of the editor, see `crl.envs.swe.editor_tool`."""
        return self.sandbox.run(f"python3 -I {_EDITOR}", stdin=json.dumps(dict(arguments)).encode())

    def apply(self, patch: str) -> None:
        """Apply a patch of ours."""
        done = self.sandbox.run("git apply -", stdin=patch.encode())
        if done.exit_code:
            raise SandboxError(f"a patch does not apply: {done.output[:300]}. Remedy: generate the local set again")

    def restore(self) -> None:
        """Back to the base commit."""
        self.sandbox.run("git checkout -q -- . && git clean -fdq")

    def diff(self) -> str:
        """All changes since the base commit as a patch, as the container tells them. Raises Unreadable."""
        command = (
            f"rm -f .git/index.lock; git add -A && git -c core.quotePath=false diff --cached --binary --no-color --no-ext-diff "
            f"--no-textconv --no-renames --src-prefix=a/ --dst-prefix=b/ {self._base} > /tmp/.model.patch"
        )
        done = self.sandbox.run(command)
        if done.exit_code or done.timed_out:
            raise Unreadable("git cannot tell the changes of the repository any more")
        return read_file(self.sandbox, "/tmp/.model.patch", self._config, limit=MAX_PATCH_BYTES + 1).decode(
            errors="strict"
        )

    def close(self) -> None:
        self.sandbox.close()


def read_file(sandbox: Sandbox, path: str, config: SandboxConfig, limit: int = _MAX_READ_BYTES) -> bytes:
    """A file of the container, whatever its size: packed, in chunks as large as a command's kept output. Raises Unreadable.

    At most `limit` bytes of it; nothing in the container runs between the chunks.
    """
    chunk = config.output_chars - _CHUNK_MARGIN
    pack = f"head -c {limit} -- {path} | gzip -9n | base64 -w0 > /tmp/.packed; "
    text, offset = "", 1
    while True:
        done = sandbox.run(f"{pack}tail -c +{offset} /tmp/.packed | head -c {chunk}")
        if done.exit_code or done.timed_out:
            raise Unreadable(f"{path} cannot be read")
        pack = ""
        text += done.output
        offset += chunk
        if len(done.output) < chunk:
            break
        if len(text) > 2 * limit + chunk:
            raise Unreadable(f"{path} is too large")
    try:
        return zlib.decompressobj(wbits=31).decompress(base64.b64decode(text, validate=True), limit)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise Unreadable(f"{path} came damaged ({error})") from error
