"""What a bank is asked without waiting for its writer."""

from collections.abc import Mapping, Sequence

import numpy as np

from crl.bank.editor import Editor
from crl.bank.effect import Belief, EntryEffect
from crl.bank.index import EmbeddedIndex
from crl.bank.memory import Memory
from crl.bank.records import Hit, Usage
from crl.config.bank import BankConfig
from crl.types import Experience


class BankReads:
    """The questions that take no lock."""

    index: EmbeddedIndex
    _editor: Editor
    _config: BankConfig

    @property
    def memory(self) -> Memory:
        """As of now: a rollback replaces it as a whole."""
        return self._editor.memory

    @property
    def embedder(self) -> tuple[str, int]:
        """The name of what makes its keys, and their dimension."""
        return self._editor.ledger.meta("embedder"), self.index.dim

    def scope_of(self, task: str) -> str:
        """The table that a task's experiences live in."""
        return self._config.scope_of(task)

    def __len__(self) -> int:
        return len(self.memory.live)

    def get(self, entry_id: str) -> Experience | None:
        """A live entry with its current counters."""
        memory = self.memory
        entry = memory.live.get(entry_id)
        return None if entry is None else memory.counted(entry)

    def entries(self, scope: str | None = None) -> tuple[Experience, ...]:
        """Live entries of one scope or of all; within each scope those that were written last at the end."""
        index, memory = self.index, self.memory
        scopes = index.scopes() if scope is None else (scope,)
        return tuple(memory.counted(entry) for name in scopes for entry in index.oldest_first(name))

    def usage(self, entry_id: str) -> Usage:
        return self.memory.usage(entry_id)

    def effect(self, entry_id: str) -> EntryEffect | None:
        """The measured effect; None while no group with a control has retrieved the entry."""
        return self.memory.effect(entry_id)

    def belief(self, entry_id: str) -> Belief:
        """What is believed of its effect as of the last round whose uses were recorded, measured or not."""
        return self.memory.belief(entry_id)

    def search(
        self, queries: Mapping[str, np.ndarray], k: int, texts: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, list[list[Hit]]]:
        """For each scope and unit query row [B, D]: the k nearest entries, best first; by vectors, whatever the texts."""
        return self.index.search(queries, k)
