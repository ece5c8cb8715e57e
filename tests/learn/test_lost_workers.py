"""Workers of a learner group that are killed: others take their places, and nothing else comes of it."""

import os
import re
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from crl.errors import RunStopped
from crl.files import digest_folder
from crl.learn import beats
from crl.learn import workers as workers_module
from crl.learn.group import RESTARTS, LearnerGroup
from crl.learn.lost import comes_of_a_peer
from crl.models.resolve import save_model
from crl.tiny.tokenizer import train_tokenizer
from tests.learn.samples import random_batch, tiny_model
from tests.learn.test_workers import config_of
from tests.marked import has_ended
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    save_model(tiny_model(), train_tokenizer(["go north to the door"], 300), folder)
    return str(folder)


def stop_and_kill(pid: int) -> None:
    """It stands still, so that its peers wait for it in whatever they do together, and is killed half a second later."""
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()


def test_a_group_of_which_a_worker_is_killed_in_an_update_or_a_save_learns_the_same_bytes(source, tmp_path, caplog):
    def update() -> dict[str, float]:
        return group.update(random_batch(16, 2), steps=16)

    group = LearnerGroup(config_of(2), "actor", source).ready()
    group.update(random_batch(6))
    group.save(tmp_path / "start")
    began = time.monotonic()
    told = update()
    took = time.monotonic() - began
    group.save(tmp_path / "undisturbed")
    group.load(tmp_path / "start")

    pids = group._crew.pids
    # After some of its steps, also where it is several times as fast now.
    threading.Timer(took / 8, stop_and_kill, pids[1:]).start()
    assert update() == told | {"worker_restarts": 1.0}
    pids += group._crew.pids
    stop_and_kill(group._crew.pids[0])
    group.save(tmp_path / "disturbed")
    group.close()
    assert digest_folder(tmp_path / "disturbed") == digest_folder(tmp_path / "undisturbed")
    assert all(has_ended(pid) for pid in pids)
    first, second = [record.message for record in caplog.records if "ended by SIGKILL" in record.message]
    assert re.search(
        r"learn\.actor\.workers = 2: worker 2 of 2 .*SIGKILL in update.* \(1 of at most 3 times\) from .*start", first
    )
    assert re.search(r"worker 1 of 2 .*SIGKILL in save.*the 1 batches since", second)


def test_a_group_whose_workers_die_again_and_again_says_so_and_leaves_nothing(source):
    group = LearnerGroup(config_of(1), "actor", source)
    folder: Path = group._folder
    for _ in range(RESTARTS + 1):
        [pid] = group._crew.pids
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: group._ended is not None or group._crew.pids != [pid], "the loss was noticed", wait_s=300)
    match = r"learn\.actor\.workers = 1: .*worker 1 of 1 .*SIGKILL.*after 3 restarts.*Remedy"
    for asked in (group.ready, group.weights):
        with pytest.raises(RunStopped, match=match):
            asked()
    assert not folder.exists()


STOOD = r"worker {0} of {0} \(process \d+\) stood still for \d+ s and was ended by SIGKILL in update"
WAITED = r"worker 2 of 2 \(process \d+\) kept the others waiting in update \(worker 1: .*Timed out waiting 20000ms"


@pytest.mark.parametrize(("workers", "told"), [(1, [STOOD.format(1)]), (2, [STOOD.format(2), WAITED])])
def test_a_group_of_which_a_worker_stands_still_in_an_update_learns_the_same_bytes(
    source, tmp_path, caplog, monkeypatch, workers, told
):
    monkeypatch.setattr(workers_module, "PEER_WAIT_S", 20.0)
    group = LearnerGroup(config_of(workers), "actor", source).ready()
    group.save(tmp_path / "start")
    began = time.monotonic()
    group.update(random_batch(16, 2), steps=16)
    took = time.monotonic() - began
    group.save(tmp_path / "undisturbed")

    for found, silent_s in zip(told, (5.0, beats.SILENT_S), strict=False):  # by the head, and by its peer
        monkeypatch.setattr(beats, "SILENT_S", silent_s)
        group.load(tmp_path / "start")
        threading.Timer(took / 8, os.kill, (group._crew.pids[-1], signal.SIGSTOP)).start()
        assert group.update(random_batch(16, 2), steps=16)["worker_restarts"] >= 1
        group.save(tmp_path / "disturbed")
        assert digest_folder(tmp_path / "disturbed") == digest_folder(tmp_path / "undisturbed")
        assert re.search(found, caplog.text)
    group.close()


def test_only_what_a_peer_does_not_do_counts_as_its_loss():
    for others in ("CUDA out of memory", "The size of tensor a (3) must match", "Timed out waiting for a file"):
        assert not comes_of_a_peer(RuntimeError(others))
    assert not comes_of_a_peer(TimeoutError("gloo/transport/tcp: Timed out"))
    assert not comes_of_a_peer(torch.OutOfMemoryError("gloo/transport/tcp: Timed out"))


def test_an_error_of_one_worker_is_told_though_its_peer_only_sees_it_hang_up(source):
    group = LearnerGroup(config_of(2), "actor", source).ready()
    [first, second] = random_batch(2)
    broken = replace(first, sequence=replace(first.sequence, input_ids=(10**9, *first.sequence.input_ids[1:])))
    with pytest.raises(RunStopped, match=r"worker \d: IndexError"):
        group.update([broken, second])
    group.close()
