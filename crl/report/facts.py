"""Facts about the machine, the software and the parameters of a run."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from crl.config import Config
from crl.report.inputs import Parameter, Version

PACKAGES = ("torch", "transformers", "accelerate", "numpy", "nle", "minihack", "gymnasium", "prefect", "mlflow", "dvc")


def versions() -> tuple[Version, ...]:
    """Python and the installed packages that can change results."""
    found = [Version("python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append(Version(package, version(package)))
        except PackageNotFoundError:
            continue  # an extra that this run did not need
    return tuple(found)


def machine() -> str:
    """Processor, usable cores, memory and system in one line; no host name, no paths."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, {memory_gb:.0f} GB, {platform.system()} {platform.machine()}"


def parameters(config: Config, reference: Config) -> tuple[Parameter, ...]:
    """All fields by dotted name, each beside its value in the reference (the profile as committed)."""
    there = dict(_leaves(reference.model_dump(mode="json")))
    return tuple(Parameter(name, value, there.get(name)) for name, value in _leaves(config.model_dump(mode="json")))


def _leaves(values: dict[str, object], prefix: str = "") -> list[tuple[str, str]]:
    leaves: list[tuple[str, str]] = []
    for name, value in values.items():
        leaves += _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, str(value))]
    return leaves


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except FileNotFoundError:  # not a Linux kernel
        names = []
    return names[0] if names else platform.processor() or "unknown processor"
