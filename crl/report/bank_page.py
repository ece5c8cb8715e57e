"""The bank as one self-contained page: opened from a file, it asks no network for anything.

Texts are untrusted. They travel as compressed data, which no markup can leave, the script writes them as text alone, and the
page's policy lets nothing run but the script and the style that it was written with.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from crl.bank.choice import exploit
from crl.bank.effect import CONFIDENCE, EntryEffect
from crl.bank.index import EmbeddedIndex
from crl.bank.records import Hit, State
from crl.config.play import RetrievalConfig
from crl.episode.transcripts import Transcript
from crl.replies.printable import plain
from crl.report.bank_history import History
from crl.report.templating import environment

NAME = "bank.html"
SCRIPTS = ("page.js", "rows.js", "entry.js", "entries.js", "rounds.js", "retrieval.js", "main.js")
MAX_LINES = 160  # of one transcript
MAX_TRANSCRIPTS = 400  # of episodes that entries were written from, the latest
RETRIEVED = 5  # entries shown for a situation


@dataclass(frozen=True)
class Asked:
    """A situation that a person wants to see, as the bank's own embedder reads it."""

    text: str
    key: np.ndarray  # float32 [D]


def write_bank_page(
    history: History,
    file: Path,
    *,
    retrieval: RetrievalConfig,
    transcripts: Iterable[Transcript] = (),
    asked: Sequence[Asked] = (),
) -> None:
    """The same history gives the same bytes."""
    data = json.dumps(page_data(history, retrieval, transcripts, asked), ensure_ascii=False, separators=(",", ":"))
    packed = base64.b64encode(gzip.compress(data.encode(), mtime=0)).decode()
    engine = environment(escaped=True)
    source, *_ = engine.loader.get_source(engine, "style.css")
    style = source + _part("bank.css")
    script = "".join(map(_part, SCRIPTS))
    page = engine.get_template("bank/page.html").render(
        packed=packed,
        style=Markup(style),
        style_hash=_digest(style),
        script=Markup(script),
        script_hash=_digest(script),
    )
    file.write_text(page, encoding="utf-8", newline="\n")


def _part(name: str) -> str:
    return (Path(__file__).parent / "templates/bank" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """As a content security policy names what may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


class _Numbered:
    """Values by the number of their first appearance."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._at: dict[Hashable, int] = {}

    def __call__(self, value: str) -> int:
        if value not in self._at:
            self._at[value] = len(self.values)
            self.values.append(plain(value))
        return self._at[value]


def page_data(
    history: History, retrieval: RetrievalConfig, transcripts: Iterable[Transcript], asked: Sequence[Asked]
) -> dict[str, Any]:
    """What the script reads. Entries are named by their place, in order of creation; effects are in thousandths."""
    records = sorted(history.records, key=lambda r: (r.entry.origin.round, r.created_seq, r.entry.id))
    at = {record.entry.id: place for place, record in enumerate(records)}
    tasks, purposes, situations, strange = _Numbered(), _Numbered(), _Numbered(), _Numbered()

    def place(id_: str) -> int:  # of what no snapshot has: -1 and below
        return at[id_] if id_ in at else -1 - strange(id_)

    joined: dict[int, list[list[int]]] = {}
    for id_, into, round_ in history.joins:
        joined.setdefault(at[into], []).append([at[id_], round_])
    columns: dict[str, list[Any]] = {
        "id": [plain(r.entry.id) for r in records],
        "task": [tasks(r.entry.task) for r in records],
        "text": [plain(r.entry.text) for r in records],
        "situation": [situations(r.entry.key_text) for r in records],
        "state": [list(State).index(r.state) for r in records],
        "left": [[left.round, plain(left.why)] if (left := history.left.get(r.entry.id)) else 0 for r in records],
        "shown": [r.entry.shown for r in records],
        "written": [r.entry.written for r in records],
        "belief": [_thousandths(history.known[r.entry.id].belief.mean) for r in records],
        "effect": [_figures(history.known[r.entry.id].effect) for r in records],
        "writings": [
            [
                [w.origin.round, purposes(w.origin.purpose), plain(w.origin.episode), situations(w.key_text),
                 *map(place, w.parents)]
                for w in history.writings[r.entry.id]
            ]
            for r in records
        ],
        "joined": [joined.get(number, []) for number in range(len(records))],
        **_courses(history, at),
    }  # fmt: skip
    kept = _transcripts(transcripts, {w.origin.episode for each in history.writings.values() for w in each})
    known = _retrieved(history, retrieval, asked, lambda t, s: [tasks(t), situations(s)], at)
    return {
        "source": history.source, "embedder": plain(history.embedder), "confidence": CONFIDENCE,
        "retrieval": [retrieval.rule, retrieval.k, retrieval.similarity_weight], "states": [str(s) for s in State],
        "entries": columns, "moments": [_moment(m.round, m.live, m.effects) for m in history.moments],
        "known": known, "transcripts": kept, "tasks": tasks.values, "purposes": purposes.values,
        "situations": situations.values, "strange": strange.values,
    }  # fmt: skip


def _thousandths(value: float) -> int:
    return round(1000 * value)


def _figures(effect: EntryEffect | None) -> list[int] | int:
    """Mean, low, high, groups; 0: not measured."""
    return [*map(_thousandths, (effect.mean, effect.low, effect.high)), effect.groups] if effect else 0


def _courses(history: History, at: Mapping[str, int]) -> dict[str, list[list[int]]]:
    """Of each entry: at the end of which rounds it was in the bank (from, to, from, to, ...), and its effect in those in
    which it was measured (round, mean, low, high, groups, ...)."""
    spans: list[list[int]] = [[] for _ in at]
    course: list[list[int]] = [[] for _ in at]
    for number, moment in enumerate(history.moments):
        before = history.moments[number - 1].round if number else None
        for id_ in moment.live:
            own = spans[at[id_]]
            if own and own[-1] == before:
                own[-1] = moment.round
            else:
                own += (moment.round, moment.round)
        for id_, effect in moment.effects.items():
            own = course[at[id_]]
            if not own or own[-1] != effect.groups:
                own += (moment.round, *_figures(effect))
    return {"spans": spans, "course": course}


def _moment(round_: int, live: frozenset[str], effects: Mapping[str, EntryEffect]) -> list[int]:
    """Round, entries, measured ones, their mean effect, how many help and how many harm for certain."""
    found = list(effects.values())
    mean = sum(effect.mean for effect in found) / max(1, len(found))
    helps, harms = sum(effect.low > 0 for effect in found), sum(effect.high < 0 for effect in found)
    return [round_, len(live), len(found), _thousandths(mean), helps, harms]


def _retrieved(
    history: History, config: RetrievalConfig, asked: Sequence[Asked], name: Callable[[str, str], list[int]],
    at: Mapping[str, int],
) -> list[list[Any]]:  # fmt: skip
    """(task, situation, [entry, similarity, entry, similarity, ...], asked) as evaluation and serving retrieve: nothing drawn,
    nothing counted; more than they take."""
    live = [record for record in history.records if record.state is State.LIVE]
    if not live:
        return []
    live.sort(key=lambda record: (history.known[record.entry.id].belief.mean, record.number))  # as `FrozenBank` does
    index = EmbeddedIndex(len(live[0].vector))
    index.load(live)
    found = []
    for scope in index.scopes():
        own = [(each.text, each.key, 1) for each in asked]
        own += [(text, key, 0) for (task, text), key in history.situations().items() if task == scope]
        queries = np.stack([key for _, key, _ in own]) if own else np.empty((0, index.dim), np.float32)
        hits = index.search({scope: queries}, config.k * config.candidates)[scope]
        for (text, _, by_person), near in zip(own, hits, strict=True):
            pairs = [
                number for hit in _best(near, history, config) for number in (at[hit.entry.id], _thousandths(hit.score))
            ]
            found.append([*name(scope, text), pairs, by_person])
    return found


def _best(near: list[Hit], history: History, config: RetrievalConfig) -> list[Hit]:
    """What `Retriever` would return of these candidates, and what comes next."""
    if config.rule == "newest":
        return near[:RETRIEVED]
    beliefs = [history.known[hit.entry.id].belief for hit in near]
    similarities, weight = [hit.score for hit in near], config.similarity_weight
    return [near[one.rank] for one in exploit(beliefs, similarities, similarity_weight=weight, k=RETRIEVED)]


def _transcripts(transcripts: Iterable[Transcript], wanted: set[str]) -> dict[str, Any]:
    """By episode, as lists of (role, text): bounded, the latest rounds first to be kept."""
    kept = sorted((t for t in transcripts if t.episode in wanted), key=lambda t: (-t.round, t.episode))
    return {
        plain(t.episode): {
            "outcome": plain(t.outcome), "arm": plain(t.arm), "advice": plain(t.advice or ""),
            "lines": [[plain(line.role), plain(line.text)] for line in t.lines[:MAX_LINES]],
            "more": max(0, len(t.lines) - MAX_LINES),
        }
        for t in kept[:MAX_TRANSCRIPTS]
    }  # fmt: skip
