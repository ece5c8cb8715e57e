"""An archive fills /testbed and nothing else."""

import contextlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.errors import DataError
from crl.sandbox import Sandbox, SandboxError, archive, export_tree
from crl.sandbox import shell as sandbox_shell
from tests.sandbox.containers import ours


def tar(*members: tuple[str, dict], text: bytes = b"x") -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:") as made:
        for name, fields in members:
            member = tarfile.TarInfo(name)
            for field, value in fields.items():
                setattr(member, field, value)
            member.size = len(text) if member.isreg() else 0
            made.addfile(member, io.BytesIO(text) if member.isreg() else None)
    return target.getvalue()


def link(target: str) -> dict:
    return {"type": tarfile.SYMTYPE, "linkname": target}


HOSTILE = {
    "absolute": tar(("/tmp/evil", {})),
    "upwards": tar(("a/../../tmp/evil", {})),
    "behind a link": tar(("a", link("/tmp")), ("a/evil", {})),
    "behind a link in disguise": tar(("./a", link("/tmp")), ("a//evil", {})),
    "behind two links": tar(("a", link("..")), ("b", link("a/tmp")), ("b/evil", {})),
    "hard link upwards": tar(("a", {"type": tarfile.LNKTYPE, "linkname": "../etc/passwd"})),
    "device": tar(("a", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 1})),
    "pipe": tar(("a", {"type": tarfile.FIFOTYPE})),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_archive_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(DataError, match=r"member '.*Remedy"):
        archive.check(data)


@pytest.mark.slow
@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_archive_that_passed_the_check_writes_nothing_outside(
    sandbox: Sandbox, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second wall: it is unpacked inside the container, as its user, by a tar that follows no such links."""
    monkeypatch.setattr("crl.sandbox.container.check", lambda data: None)
    with contextlib.suppress(SandboxError):
        sandbox.put_tree(data)
    assert sandbox.run("ls /tmp; find / -xdev -name evil -not -path '/testbed/*' 2>/dev/null").output == ""


@pytest.mark.slow
def test_a_tree_replaces_what_was_there(sandbox: Sandbox) -> None:
    sandbox.run("mkdir -p old/locked && touch old/locked/.f && chmod 000 old/locked old")
    long = "/".join(["d" * 100] * 3) + "/" + "f" * 200
    sandbox.put_tree(tar(("pkg", {"type": tarfile.DIRTYPE, "mode": 0o755}), ("pkg/m.py", {"mode": 0o755}), (long, {})))
    assert sandbox.run("ls -A; cat pkg/m.py").output.split() == ["d" * 100, "pkg", "x"]
    assert sandbox.run(f"stat -c %u:%g:%a pkg/m.py {long}").output.split() == ["1000:1000:755", "1000:1000:644"]


@pytest.mark.slow
def test_links_of_a_repository_are_kept(sandbox: Sandbox) -> None:
    members = (
        ("a", {}),
        ("b", link("a")),
        ("c", {"type": tarfile.LNKTYPE, "linkname": "a"}),
        ("d", link("/usr/bin/python3")),
    )
    sandbox.put_tree(tar(*members))
    assert sandbox.run("cat a b c; readlink b d").output == "xxxa\n/usr/bin/python3\n"


@pytest.mark.slow
def test_a_tree_too_large_names_the_limit(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match=r"Remedy: .*sandbox\.disk_mb = 32"):
        sandbox.put_tree(tar(("a", {}), text=b"x" * 33 * 2**20))


@given(st.binary(max_size=2000))
def test_no_bytes_pass_for_an_archive_by_chance(data: bytes) -> None:
    """Whatever comes: a DataError or an archive, never another exception."""
    try:
        archive.check(data)
    except DataError as error:
        assert "Remedy" in str(error)  # noqa: PT017


@pytest.mark.slow
def test_a_folder_of_an_image_can_be_exported_and_unpacked(sandbox: Sandbox) -> None:
    before, data = ours(), export_tree(sandbox.image, "/usr/lib/git-core/mergetools")
    archive.check(data)
    sandbox.put_tree(data)
    assert sandbox.run("diff -r /usr/lib/git-core/mergetools . && ls | wc -l").output.strip() != "0"
    assert export_tree(sandbox.image, "/usr/lib/git-core/mergetools") is data
    with pytest.raises(SandboxError, match="/nowhere"):
        export_tree(sandbox.image, "/nowhere")
    assert ours() <= before  # what it was read from is gone; other processes' containers come and go meanwhile


def test_a_shell_refuses_what_the_kernel_would() -> None:
    assert sandbox_shell.refusal("echo hi") == ""
    assert "NUL" in sandbox_shell.refusal("\0")
    assert "too long" in sandbox_shell.refusal("ü" * 60_000)
