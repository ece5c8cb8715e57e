"""What goes into the bank's operations and what comes back from them."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, Protocol

import numpy as np

from crl.bank.records import Change, Shown
from crl.types import Completion, Experience


class Refusal(StrEnum):
    """Why a text did not enter the bank."""

    EMPTY = "empty"
    TOO_LONG = "too_long"
    CONTROL_CHARACTERS = "control_characters"
    NOT_UNICODE = "not_unicode"  # lone surrogates: they can neither be stored nor tokenised
    SPECIAL_TOKEN = "special_token"  # would break out of its place in a chat prompt


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SPECIAL = re.compile(r"<\|[\w▁]{1,40}\|>")


def refusal_of(text: str, max_chars: int) -> Refusal | None:
    """Experience texts are untrusted: they are model output on its way into another model's prompt."""
    if not text.strip():
        return Refusal.EMPTY
    if len(text) > max_chars:
        return Refusal.TOO_LONG
    if _SURROGATE.search(text):
        return Refusal.NOT_UNICODE
    if _CONTROL.search(text):
        return Refusal.CONTROL_CHARACTERS
    if _SPECIAL.search(text):
        return Refusal.SPECIAL_TOKEN
    return None


class Left(NamedTuple):
    """What left the bank because of what arrived, beside what the operation itself replaced."""

    evicted: tuple[str, ...] = ()  # the table was full
    deduped: tuple[str, ...] = ()  # too close to a newer one


@dataclass(frozen=True, slots=True)
class AppliedReport:
    """What one completion's operations did."""

    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()  # targets of updates
    evicted: tuple[str, ...] = ()
    deduped: tuple[str, ...] = ()  # too close to one of the added
    vanished: int = 0  # targets that were no longer there
    refused: tuple[Refusal, ...] = ()
    repeated: bool = False  # had been applied before: nothing was done


@dataclass(frozen=True, slots=True)
class MergeStep:
    """One chunk of a merge: these entries become these texts, by this completion.

    A parent may be an entry that an earlier step creates: `Bank.entry_id` tells its id beforehand.
    """

    parent_ids: tuple[str, ...]
    texts: tuple[str, ...]
    completion: Completion


@dataclass(frozen=True, slots=True)
class MergeReport:
    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    evicted: tuple[str, ...] = ()
    deduped: tuple[str, ...] = ()  # too close to one of the added
    applied: int = 0  # steps
    conflicts: int = 0  # steps dropped because a parent had left the bank
    refused: int = 0  # steps dropped because a text was refused: parents stay
    repeated: int = 0  # steps that had been applied before

    def with_step(self, change: Change, left: "Left") -> "MergeReport":
        added = tuple(keyed.entry.id for keyed in change.added)
        return replace(
            self,
            added=self.added + added,
            replaced=self.replaced + change.removed,
            evicted=self.evicted + left.evicted,
            deduped=self.deduped + left.deduped,
            applied=self.applied + 1,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """How often and when an entry was returned by a retrieval."""

    shown: int = 0
    last_round: int = -1
    last_s: float = float("-inf")  # monotonic clock of this process, for `recency_s`

    def after(self, shown: Shown) -> "Usage":
        """With one showing more, now."""
        return Usage(self.shown + 1, max(self.last_round, shown.round), time.monotonic())


class Hit(NamedTuple):
    """An entry that a search found, with its score."""

    entry: Experience
    score: float


class ReadSide(Protocol):
    """What retrieval needs of a `Bank`, or of a `FrozenBank`."""

    def search(
        self, queries: Mapping[str, np.ndarray], k: int, texts: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, list[list[Hit]]]: ...
    def usage(self, entry_id: str) -> Usage: ...
    def count_shown(self, rows: Sequence[Shown]) -> None: ...
    def flush(self) -> None: ...
