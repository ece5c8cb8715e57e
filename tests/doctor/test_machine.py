"""What `crl doctor` says of the machine: each fault by its own condition, each with a remedy."""

import os
import shutil
import socket
import time
from pathlib import Path

import psutil
import pytest

from crl.doctor import accelerator, machine, needs, versions
from crl.doctor.accelerator import Gpu

BIG = ("models.actor.hidden_size=16384", "models.actor.layers=64")


def test_quick_fits_this_machine(find):
    for check in ("memory", "disk", "run folder", "ports", "clock", "python", "packages"):
        assert {finding.status for finding in find(check)} == {"ok"}, check


def test_models_that_do_not_fit_memory_or_disk_are_told_with_figures(find):
    for check in ("memory", "disk"):
        [finding] = find(check, *BIG)
        assert finding.status == "fail"
        assert "GiB" in finding.seen
        assert "GiB" in finding.needed
        assert finding.remedy


def test_what_a_run_takes_follows_the_parameters(situation):
    quick = situation().config
    bigger = situation("models.actor.hidden_size=512", "models.actor.layers=8").config
    served = situation("engine.kind=server", "run.schedule=async", "models.actor.hidden_size=512").config
    frozen = situation("learn.actor.freeze=true", "learn.extractor.freeze=true").config
    assert needs.model_bytes(quick) < needs.GIB < needs.memory_bytes(quick)
    assert needs.model_bytes(bigger) > 4 * needs.model_bytes(quick)
    assert needs.model_bytes(served) < needs.model_bytes(bigger)  # engines are elsewhere
    assert needs.disk_bytes(frozen) < needs.disk_bytes(quick)
    assert needs.memory_bytes(bigger, models_elsewhere=True) == needs.memory_bytes(quick, models_elsewhere=True)


def test_a_model_of_unknown_size_is_a_warning(find):
    for check in ("memory", "disk"):
        [finding] = find(check, "models.actor.source=owner/nameless")
        assert (finding.status, bool(finding.remedy)) == ("warn", True)


def test_a_containers_memory_limit_counts_and_none_is_none(tmp_path, monkeypatch):
    free = psutil.virtual_memory()._replace(available=2048 * 1024)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    assert machine.available_bytes(tmp_path) == 2048 * 1024
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.current").write_text("500\n")
    for limit, expected in (("1500\n", 1000), ("max\n", 2048 * 1024)):
        (group / "memory.max").write_text(limit)
        assert machine.available_bytes(tmp_path) == expected


def test_a_run_folder_that_cannot_be_written_fails(find, tmp_path):
    (tmp_path / "runs").touch()  # also for root, who may write everywhere: a file where the folder should be
    assert find("run folder")[0].status == "fail"
    if os.geteuid():
        (tmp_path / "runs").unlink()
        (tmp_path / "runs").mkdir(mode=0o500)
        assert find("run folder")[0].status == "fail"


def test_a_folder_for_new_weights_must_be_there(find, tmp_path):
    shared = f"engine.weights_folder={tmp_path}/shared"
    assert find("weights folder") == []
    assert find("weights folder", shared)[0].status == "fail"
    (tmp_path / "shared").mkdir()
    assert find("weights folder", shared)[0].status == "ok"


def test_a_full_disk_fails(find):
    [finding] = find("disk", folder=Path("/proc"))  # a real file system without a free byte
    assert (finding.status, finding.seen) == ("fail", "0.0 GiB free")


def test_a_taken_prefect_port_is_no_fault_and_told(find, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(machine, "_PREFECT_PORT", other.getsockname()[1])
        [finding] = find("ports")
    assert finding.status == "ok"
    assert "is taken" in finding.seen


def test_a_clock_behind_its_own_files_fails(find, tmp_path):
    file = tmp_path / "params.yaml"
    file.touch()
    os.utime(file, (time.time() + 3600,) * 2)
    assert find("clock")[0].status == "fail"


VLLM = ("engine.kind=vllm", "run.schedule=async")


def test_a_compiler_is_needed_where_something_compiles_only(find, monkeypatch):
    assert find("compiler") == []
    assert find("compiler", *VLLM, "engine.eager=true") == []
    assert find("compiler", *VLLM)[0].status == ("ok" if shutil.which("c++") else "fail")
    monkeypatch.setenv("PATH", "/nonexistent")
    [finding] = find("compiler", *VLLM)
    assert finding.status == "fail"
    assert "apt-get install" in finding.remedy


def test_packages_are_those_that_the_parameters_need(situation, find):
    assert versions.extras(situation()) == {"bank", "embedder", "minihack"}
    more = situation(*VLLM, "bank.index=weaviate", "models.embedder=owner/name", "tasks.mix.room.family=webshop")
    assert versions.extras(more) == {"bank", "minihack", "webshop", "weaviate", "vllm"}
    assert find("packages", "bank.index=weaviate")[-1].check == "packages: weaviate"
    asked = situation("run.schedule=async", "engine.kind=server", "servers.embedder=['http://embedder:8000']")
    assert versions.extras(asked) - versions.extras(situation()) == {"servers"}


def test_a_missing_or_other_package_fails_with_the_target_that_installs_it(find, monkeypatch):
    monkeypatch.setattr(
        versions, "_installed", lambda name: (name, {"nle": "1.2.0", "minihack": None}.get(name, "1.3.0"))
    )
    finding = find("packages")[-1]
    assert finding.status == "fail"
    assert "nle 1.2.0, not ==1.3.0" in finding.seen
    assert "minihack is missing" in finding.seen
    assert finding.remedy == "make install"


GPU = Gpu("a GPU", "580.65", 80 * needs.GIB, 70 * needs.GIB)


@pytest.mark.parametrize(
    ("device", "gpus", "cuda", "status"),
    [
        ("auto", [], "13.0", "ok"),
        ("cuda", [], "13.0", "fail"),
        ("cuda", [GPU], None, "fail"),
        ("auto", [GPU], None, "warn"),
        ("cuda", [Gpu("an old one", "470.1", 1e12, 1e12)], "13.0", "fail"),
        ("cuda", [GPU], "13.0", "ok"),
        ("cuda", [Gpu("a full one", "580.65", 80 * needs.GIB, 1000)], "13.0", "fail"),
    ],
)
def test_the_gpu_its_driver_torchs_build_and_free_memory_count(find, monkeypatch, device, gpus, cuda, status):
    monkeypatch.setattr(accelerator, "gpus", lambda *_: gpus)
    monkeypatch.setattr(accelerator, "cuda_of_torch", lambda: cuda)
    [finding] = find("device", f"run.device={device}")
    assert finding.status == status
    assert bool(finding.remedy) == (status != "ok")


def test_torchs_build_is_read_without_importing_torch():
    import torch

    assert accelerator.cuda_of_torch() == torch.version.cuda


def test_a_driver_that_hangs_or_fails_is_no_gpu(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert accelerator.gpus() == []
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 580.65.06, 81559, 81000'\n")
    assert accelerator.gpus() == [Gpu("NVIDIA H100 80GB HBM3", "580.65.06", 81559 * 2**20, 81000 * 2**20)]
