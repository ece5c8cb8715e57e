"""Facts about the machine, the software and the parameters of a run."""

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from crl.config import Config
from crl.config.base import flatten
from crl.report.inputs import Parameter

PACKAGES = ("torch", "transformers", "peft", "numpy", "nle", "minihack", "gymnasium", "prefect", "mlflow", "dvc")


def versions() -> dict[str, str]:
    """Python and the installed packages that can change results, by name."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):  # an extra that this run did not need
            found[package] = version(package)
    return found


def machine() -> str:
    """Processor, usable cores, memory and system in one line; no host name, no paths."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, {memory_gb:.0f} GB, {platform.system()} {platform.machine()}"


def parameters(config: Config, reference: Config) -> tuple[Parameter, ...]:
    """All fields by dotted name, each beside its value in the reference (the profile as committed)."""
    here, there = (dict(flatten(each.model_dump(mode="json"))) for each in (config, reference))
    return tuple(
        Parameter(name, str(value), str(there[name]) if name in there else None) for name, value in here.items()
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except FileNotFoundError:  # not a Linux kernel
        names = []
    return names[0] if names else platform.processor() or "unknown processor"
