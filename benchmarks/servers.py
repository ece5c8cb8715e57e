"""What real servers cost and gain: Weaviate as what nodes read the bank from, vLLM as the engine.

    python -m benchmarks.servers [--only retrieval|vllm] [--entries N ...] [--repeats N] [--json FILE]

Each part starts its own servers and stops them. See `benchmarks.retrieval` and `benchmarks.vllm` for the rows. The
retrieval of 200,000 entries waits until the projector has written them to Weaviate; `--entries` limits the sizes.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads per core are the bank's own matter; servers need cores, too

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import Row, show, write_json

PARTS = ("retrieval", "vllm")


def run(parts: Sequence[str], repeats: int, entries: Sequence[int] | None = None) -> list[Row]:
    """The rows of the parts. `entries` are the sizes of `retrieval`; None: all."""
    rows = []
    if "retrieval" in parts:
        from benchmarks import retrieval

        rows += retrieval.run(repeats, entries or retrieval.ENTRIES)
    if "vllm" in parts:
        from benchmarks import vllm  # needs the packages of `make cluster`

        rows += vllm.run(repeats)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="servers: Weaviate and vLLM against what runs in this process")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part to run (default: all)")
    parser.add_argument("--entries", type=int, nargs="+", metavar="N", help="sizes of the bank (default: 1 k to 200 k)")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each side (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as a JSON list")
    options = parser.parse_args()
    rows = run(options.only or PARTS, options.repeats, options.entries)
    show("servers: against what runs in this process", rows)
    write_json(rows, options.json)


if __name__ == "__main__":
    main()
