"""The data docs as pages that need nothing from the network: Great Expectations' own take styles, scripts and pictures from
public hosts and draw their index with scripts. What a check found is drawn of its own blocks, the index is ours (`pages/`).
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock
from jinja2 import Environment, FileSystemLoader

from crl.files import write_json

INDEX, TABLE = "index.html", "gates.json"
TEMPLATES = Path(__file__).parent / "pages"


@dataclass(frozen=True, slots=True)
class Entry:
    """A data set's last check, and its line in the index."""

    name: str
    suite: str
    at_s: float  # since the epoch
    rows: int
    rules: int
    broken: tuple[str, ...]
    page: str = ""  # relative to the index

    @property
    def at(self) -> str:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.at_s))


def publish(docs: Path, entries: Mapping[tuple[str, str], Entry], pages: Mapping[tuple[str, str], Path]) -> None:
    """Write the index of these and of all earlier data sets."""
    with FileLock(docs / ".lock"):
        table = docs / TABLE
        known = json.loads(table.read_text()) if table.is_file() else {}
        for run, entry in entries.items():
            known["/".join(run)] = asdict(entry) | {"page": pages[run].relative_to(docs).as_posix()}
        write_json(table, known)
        failures_first = sorted(
            (Entry(**entry) for entry in known.values()), key=lambda e: (not e.broken, -e.at_s, e.name)
        )
        templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)
        (docs / INDEX).write_text(templates.get_template("index.j2").render(entries=failures_first))
