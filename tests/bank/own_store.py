"""A vector store as somebody else would add one: this file, its name in `bank.index`, and its address. The "server" is a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from crl.bank.records import Hit, Usage
from crl.bank.stores import Item, NodeReader


class Unreachable(Exception):
    """The server does not answer."""


@dataclass
class Server:
    up: bool = True
    tables: dict[str, dict[str, Item]] = field(default_factory=dict)  # run -> entry id -> item
    marks: dict[str, str] = field(default_factory=dict)
    listed: int = 0  # how often somebody asked for everything

    def table(self, run_id: str) -> dict[str, Item]:
        if not self.up:
            raise Unreachable("nobody there")
        return self.tables.setdefault(run_id, {})


SERVER = Server()


class OwnStore:
    remote, package = True, None
    retry_s, faults = 0.02, (Unreachable,)

    def __init__(self, config: object, servers: object, *, run_id: str, folder: Path) -> None:
        self._run_id = run_id

    def check_reachable(self) -> None:
        """Everybody in this process reaches it."""

    def sink(self) -> "OwnSink":
        SERVER.table(self._run_id)
        return OwnSink(self._run_id)

    def reader(self) -> "OwnReader":
        return OwnReader(self._run_id)


class OwnSink:
    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def mark(self) -> str:
        SERVER.table(self._run_id)
        return SERVER.marks.get(self._run_id, "")

    def note(self, mark: str) -> None:
        SERVER.table(self._run_id)
        SERVER.marks[self._run_id] = mark

    def put(self, items: Sequence[Item]) -> None:
        SERVER.table(self._run_id).update({item.record.entry.id: item for item in items})

    def delete(self, entry_ids: Sequence[str]) -> None:
        for id_ in entry_ids:
            SERVER.table(self._run_id).pop(id_, None)

    def stored(self) -> dict[str, str]:
        SERVER.listed += 1
        return {id_: item.digest for id_, item in SERVER.table(self._run_id).items()}

    def close(self) -> None:
        """Nothing is held open."""


class OwnReader(NodeReader):
    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id

    def search(
        self, queries: Mapping[str, np.ndarray], k: int, texts: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, list[list[Hit]]]:
        def nearest(scope: str, query: np.ndarray) -> list[Hit]:
            rows = [item.record for item in SERVER.table(self._run_id).values() if item.record.entry.task == scope]
            scored = [(round(float(row.vector.astype(float) @ query.astype(float)), 6), row) for row in rows]
            scored.sort(key=lambda pair: (-pair[0], -pair[1].number))
            return [Hit(row.entry, score) for score, row in scored[:k]]

        return {scope: [nearest(scope, query) for query in batch] for scope, batch in queries.items()}

    def usage(self, entry_id: str) -> Usage:
        item = SERVER.table(self._run_id).get(entry_id)
        return Usage(item.record.entry.shown, item.record.entry.last_shown_round) if item else Usage()
