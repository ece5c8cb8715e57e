"""The extractor's prompts for tiny models: a few common words, no instructions that they could not read.

A distillation prompt has at most about 40 words, entries included, and no transcript. Everything stands on one line:
tokenizers that split at blanks spend no token on the layout.
"""

from collections.abc import Sequence

from crl.models.chat import Message


def distil(
    *, task: str, goal: str, outcome: str, transcript: str, entries: Sequence[str], max_operations: int
) -> list[Message]:
    return [_message("distil", task, outcome, *_numbered(entries))]


def merge(*, scope: str, entries: Sequence[str]) -> list[Message]:
    return [_message("merge", scope, *_numbered(entries))]


def ask(*, query: str, entry: str) -> list[Message]:
    return [_message("ask", query, *_numbered([entry]))]


def _message(*parts: str) -> Message:
    return Message("user", " ".join(" ".join(parts).split()))


def _numbered(entries: Sequence[str]) -> list[str]:
    return [f"{number} {entry}" for number, entry in enumerate(entries, 1)]
