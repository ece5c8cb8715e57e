"""Learner groups that find no room are refused before a round, with what they would need."""

import pytest

from crl.doctor import needs, room
from crl.doctor.accelerator import Gpu
from crl.errors import ConfigError

BIG = ("run.device=cpu", "models.actor.hidden_size=16384", "models.actor.layers=64")
TWO = ("learn.actor.workers=2", "learn.extractor.workers=2")
GIB = 2**30


def test_groups_that_no_memory_holds_are_refused_with_what_they_need_and_others_are_not(situation):
    with pytest.raises(
        ConfigError, match=r"learn\.actor\.workers = 2 .*about \d+\.\d GiB of this machine's memory.*Remedy"
    ):
        room.refuse_without_room(situation(*BIG, *TWO).config)
    for passing in (TWO, BIG, (*BIG, *TWO, "learn.actor.freeze=true"), (*TWO, "models.actor.source=owner/nameless")):
        room.refuse_without_room(situation(*passing, "run.device=cpu").config)


def test_a_gpu_holds_a_worker_of_each_group_and_the_machine_what_is_gathered(situation, monkeypatch):
    monkeypatch.setattr(room, "wants_gpu", lambda _: True)
    found = [Gpu("H100", "580.1", 80 * GIB, free * GIB) for free in (79, 79, 79, 4)]
    monkeypatch.setattr(room, "gpus", lambda _: found)
    free = []
    monkeypatch.setattr(room, "available_bytes", lambda: free[0] * GIB)
    model = ("models.actor.source=Qwen/Qwen3-4B", "learn.actor.optimizer.micro_batch_tokens=2048")

    def refuse(workers: int, memory: int) -> None:
        free[:] = [memory]
        room.refuse_without_room(situation(*model, f"learn.actor.workers={workers}").config)

    refuse(2, 200)
    refuse(3, 200)
    with pytest.raises(ConfigError, match=r"GiB of GPU 3 \(H100\), and 4\.0 GiB are free .* each of the actor's"):
        refuse(4, 200)
    with pytest.raises(
        ConfigError, match=r"GiB of this machine's memory, and 16\.0 GiB are free"
    ):  # a checkpoint: 12 bytes a parameter
        refuse(2, 16)
    found[:] = [Gpu("A10", "580.1", 24 * GIB, 23 * GIB)]
    with pytest.raises(ConfigError, match=r"GiB of GPU 0 \(A10\)"):
        refuse(1, 200)


def test_the_doctor_counts_every_worker_where_they_share_one_memory(situation):
    one, two = (situation(*BIG, f"learn.actor.workers={n}").config for n in (1, 2))
    assert needs.model_bytes(two) < needs.model_bytes(one)  # of a GPU
    assert needs.model_bytes(two, all_workers=True) >= needs.model_bytes(one, all_workers=True)
