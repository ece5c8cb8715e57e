"""Workers of a learner group that are killed: others take their places, and nothing else comes of it."""

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from crl.errors import RunStopped
from crl.files import digest_folder
from crl.learn.group import RESTARTS, LearnerGroup
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
