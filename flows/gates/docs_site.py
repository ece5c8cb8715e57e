"""The data docs as pages that need nothing from the network: Great Expectations' own take styles, scripts and pictures
from public hosts and draw their index with scripts. Its result pages get a style of ours; the index is ours."""

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock

from crl.files import write_json
from flows.gates.style import STYLE

INDEX, TABLE = "index.html", "gates.json"
_FOREIGN = re.compile(
    r"<script\b.*?</script>|<style\b.*?</style>|<link\b[^>]*>|<img\b[^>]*>|<footer\b.*?</footer>|<title>\s*</title>",
    re.S | re.I,
)
_POLICY = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"


@dataclass(frozen=True, slots=True)
class Entry:
    """A data set's line in the index: its last check."""

    name: str
    suite: str
    at_s: float  # since the epoch
    rows: int
    rules: int
    broken: tuple[str, ...]
    page: str = ""  # relative to the index


def publish(docs: Path, entries: Mapping[tuple[str, str], Entry], pages: Mapping[tuple[str, str], Path]) -> None:
    """Restyle the pages and write the index of these and of all earlier data sets."""
    for page in {*pages.values(), *(docs / "expectations").rglob("*.html")}:
        if page.suffix == ".html":
            page.write_text(offline(page.read_text()))
    with FileLock(docs / ".lock"):
        table = docs / TABLE
        known = json.loads(table.read_text()) if table.is_file() else {}
        for run, entry in entries.items():
            known["/".join(run)] = asdict(entry) | {"page": pages[run].relative_to(docs).as_posix()}
        write_json(table, known)
        (docs / INDEX).write_text(index(Entry(**entry) for entry in known.values()))


def offline(page: str) -> str:
    """Without anything foreign; a page that was done already stays as it is."""
    if _POLICY in page:
        return page
    head = f"{_POLICY}<style>{STYLE}</style></head>"
    return re.sub(r"\n\s*\n+", "\n", _FOREIGN.sub("", page)).replace("</head>", head, 1)


def index(entries: Iterable[Entry]) -> str:
    """One line per data set, failures first, then the newest."""
    ordered = sorted(entries, key=lambda entry: (not entry.broken, -entry.at_s, entry.name))
    failed = sum(bool(entry.broken) for entry in ordered)
    told = (
        f"{failed} of {len(ordered)} data sets failed their gate"
        if failed
        else f"All {len(ordered)} data sets passed their gates"
    )
    rows = "".join(map(_row, ordered))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{_POLICY}<title>Data docs</title><style>{STYLE}</style></head>'
        f'<body><h1>{told}</h1><p class="note">Each line is the last check of a data set; the link leads to its rules.</p>'
        '<table class="index"><thead><tr><th>State</th><th>Data set</th><th>Suite</th><th>Rows</th><th>Rules</th>'
        f"<th>Checked (UTC)</th></tr></thead><tbody>{rows}</tbody></table></body></html>\n"
    )


def _row(entry: Entry) -> str:
    state = "broken" if entry.broken else "holds"
    broken = f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in entry.broken)}</ul>" if entry.broken else ""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry.at_s))
    suite = quote(f"expectations/{entry.suite}.html")
    return (
        f'<tr><td class="{state}">{state}</td><td><a href="{quote(entry.page)}">{escape(entry.name)}</a>{broken}</td>'
        f'<td><a href="{suite}">{escape(entry.suite)}</a></td><td class="n">{entry.rows:,}</td><td class="n">{entry.rules}</td>'
        f"<td>{at}</td></tr>"
    )
