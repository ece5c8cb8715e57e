"""CPU or GPU: the driver, torch's CUDA build, and the memory that the models need there. Torch is not imported."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from crl.doctor.finding import Finding, Situation
from crl.doctor.needs import GIB, enough, model_bytes

_DRIVERS = {12: 525, 13: 580}  # oldest driver of a CUDA major version (NVIDIA's compatibility table)
_QUERY = ["--query-gpu=name,driver_version,memory.total,memory.free", "--format=csv,noheader,nounits"]


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    driver: str
    total_bytes: float
    free_bytes: float


def gpus(timeout_s: float = 4.0) -> list[Gpu]:
    """The GPUs that the driver shows; none where there is no driver."""
    if not (tool := shutil.which("nvidia-smi")):
        return []
    try:
        done = subprocess.run([tool, *_QUERY], capture_output=True, text=True, timeout=timeout_s, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
    return [Gpu(name, driver, float(total) * 2**20, float(free) * 2**20) for name, driver, total, free in rows]


def cuda_of_torch() -> str | None:
    """The CUDA version that the installed torch was built for; None: a CPU build, or no torch."""
    found = find_spec("torch")
    if found is None or found.origin is None:
        return None
    text = (Path(found.origin).parent / "version.py").read_text()
    built = re.search(r"^cuda\b[^=]*=\s*'([^']+)'", text, re.MULTILINE)
    return built[1] if built else None


def wants_gpu(situation: Situation) -> bool:
    """Whether the models of this run lie on a GPU."""
    device = situation.config.run.device
    return device == "cuda" or (device == "auto" and cuda_of_torch() is not None and bool(gpus(situation.patience_s)))


def device(situation: Situation) -> Iterator[Finding]:
    """The models must fit on the first GPU, where this process puts them."""
    wanted, cuda, found = situation.config.run.device, cuda_of_torch(), gpus(situation.patience_s)
    worse = "fail" if wanted == "cuda" else "warn"
    if wanted == "cpu":
        return
    if not found:
        if wanted == "auto":
            yield Finding("ok", "no GPU: the models live on the CPU")
        else:
            remedy = "install the driver (nvidia-smi must answer), give the container the GPU, or run.device: cpu"
            yield Finding("fail", "no GPU", "run.device: cuda", remedy)
    elif cuda is None:
        remedy = "pip install torch from the index with CUDA builds, or run.device: cpu"
        yield Finding(worse, f"{found[0].name}, but torch has no CUDA build", "a CUDA build of torch", remedy)
    elif int(found[0].driver.split(".")[0]) < (oldest := _DRIVERS.get(int(cuda.split(".")[0]), 0)):
        remedy = "a newer driver, or a torch of an older CUDA"
        yield Finding(worse, f"driver {found[0].driver}", f"{oldest} or newer for CUDA {cuda}", remedy)
    else:
        first, remedy = found[0], "smaller models, engine.kind: server on other GPUs, or more GPUs (docs/scale.md)"
        seen = f"{first.name} ({len(found)}), {first.free_bytes / GIB:.0f} of {first.total_bytes / GIB:.0f} GiB free"
        yield enough(seen, first.free_bytes, lambda: model_bytes(situation.config), remedy)
