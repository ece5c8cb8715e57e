"""Folders appear whole or not at all, at whatever call a kill happens."""

import contextlib
import os
from pathlib import Path

import pytest

from crl import files
from crl.files import digest_folder, discard, prune, recover, round_folder, rounds_in, write_atomically


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it runs."""


def write(text: str):
    return lambda folder: (folder / "state").write_text(text)


@pytest.mark.parametrize("calls", range(12))
def test_killed_at_any_call_a_replacement_leaves_the_old_folder_or_the_new_one(
    calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = round_folder(tmp_path, 3)
    write_atomically(folder, write("old"))
    left = calls

    def dying(call):
        def wrapped(*args, **kwargs):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return call(*args, **kwargs)

        return wrapped

    with monkeypatch.context() as patch:
        for module, name in ((os, "rename"), (files, "_flush"), (files.shutil, "rmtree")):
            patch.setattr(module, name, dying(getattr(module, name)))
        with contextlib.suppress(Killed):
            write_atomically(folder, write("new"))
    recover(tmp_path)
    assert rounds_in(tmp_path) == [3]
    assert (folder / "state").read_text() in ("old", "new")
    assert not list(tmp_path.glob(".*.replaced"))


def test_a_discarded_folder_is_whole_or_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(folder := round_folder(tmp_path, 3), write("old"))

    def killed() -> None:
        raise Killed

    for module, name, left in ((os, "rename", [3]), (files.shutil, "rmtree", [])):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, lambda path, *_, **__: killed() if path.exists() else None)
            with pytest.raises(Killed):
                discard(folder)
        assert rounds_in(tmp_path) == left
    recover(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for number in range(5):
        write_atomically(round_folder(tmp_path, number), write("x"))
    prune(tmp_path, 2)
    assert rounds_in(tmp_path) == [3, 4]


def test_a_folders_digest_depends_on_names_and_content_alone(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(b"weights")
    (tmp_path / "sub/b").write_bytes(b"")
    assert (
        digest_folder(tmp_path) == "a6bb2f9ba1dce5209b3899fa55384bdc"
    )  # lineages of runs that have begun stay what they are
    (tmp_path / "a").write_bytes(b"weighty")
    assert digest_folder(tmp_path) != "a6bb2f9ba1dce5209b3899fa55384bdc"


def test_weights_are_digested_in_pieces_and_once_while_they_stay_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, reads, digest = tmp_path / "model.safetensors", [], files._digest
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read as a whole"))
    monkeypatch.setattr(files, "_digest", lambda path: reads.append(path) or digest(path))
    with file.open("wb") as stream:
        stream.truncate(files._LARGE_BYTES)
    first = digest_folder(tmp_path)
    assert (digest_folder(tmp_path), len(reads)) == (first, 1)
    with file.open("r+b") as stream:
        stream.write(b"another")
    os.utime(file, ns=(0, 0))
    assert digest_folder(tmp_path) != first
