"""The extractor's prompts for small chat models: what happened, one question, one sentence for an answer.

The sentence is added to the bank. There is no `update`: told of it, SmolLM2-135M wrote the words of the offer instead of advice.
"""

from collections.abc import Sequence
from typing import ClassVar

from crl.extractor.sentence import Form
from crl.extractor.transcript import injected, without
from crl.models.chat import Message
from crl.types import Episode, Outcome

_TURNS = 3  # the end decides the outcome, and a small model loses the question behind a long text
_ROLE = "You are a helpful coach of a player."
_ENDS = {
    Outcome.SUCCESS: "The player succeeded.",
    Outcome.DEATH: "The player failed.",
    Outcome.TIMEOUT: "The player failed: there was no time left.",
    Outcome.TRUNCATED: "The player failed: it took too long.",
}
_DISTIL = "What should the player do next time? Answer in one short sentence."
_MERGE = "Say all of this in one short sentence."
_ASK = "Answer in one short sentence."


class BriefExtractorPrompts:
    """The prompt set `brief`."""

    min_chars: ClassVar[int] = 12  # the shortest sentence that tells what to do
    form: ClassVar[Form] = "sentence"
    phrases: ClassVar[tuple[str, ...]] = (*_ENDS.values(), _DISTIL, _MERGE, _ASK)

    def distil(
        self, episode: Episode, entries: Sequence[str], *, max_operations: int, last_turns: int | None
    ) -> list[Message]:
        last = min(len(episode.turns), _TURNS if last_turns is None else min(_TURNS, last_turns))
        turns = [
            f"The player saw: {turn.observation.strip()}\nThe player did: {turn.action or 'nothing that counts'}"
            for turn in episode.turns[len(episode.turns) - last :]
        ]
        happened = without("\n".join([*turns, f"Then: {episode.final_observation.strip()}"]), injected(episode))
        known = [f"Known already: {_line(entry)}" for entry in entries]
        goal = f"Goal: {episode.goal or episode.task.name}"
        return _asked(goal, happened, _ENDS[episode.outcome], *known, _DISTIL)

    def merge(self, scope: str, entries: Sequence[str]) -> list[Message]:
        return _asked(
            f"Task: {scope}", *(f"Advice {number}: {_line(entry)}" for number, entry in enumerate(entries, 1)), _MERGE
        )

    def ask(self, query: str, entry: str) -> list[Message]:
        return _asked(f"Known: {_line(entry)}", f"Question: {_line(query)}", _ASK)


def _asked(*lines: str) -> list[Message]:
    return [Message("system", _ROLE), Message("user", "\n".join(lines))]


def _line(text: str) -> str:
    return " ".join(text.split())
