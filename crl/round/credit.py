"""What the completions of the extractor earn from a round's episodes: by the texts that they wrote, or as answers."""

import statistics
from collections.abc import Mapping, Sequence
from functools import cache, partial

from crl.config.choices import REWARDS
from crl.learn.rewards import Evidence, episode_credits, free_rates, group_of
from crl.round.parts import Parts
from crl.types import Completion, Episode


class Credits:
    """Scores completions into the buffer. A text was written by many of them: each that is fresh enough earns its score."""

    def __init__(self, parts: Parts, memorised: Mapping[str, Sequence[float]]) -> None:
        """`memorised`: what each probe of an entry found, by its id; it may grow from round to round."""
        self._parts, self._memorised = parts, memorised
        self._versions: dict[str, int] = {}  # by completion: the ledger is not asked again for what is stale
        self._at_hand: dict[str, Completion] = {}  # of the round that is credited

    def give(self, episodes: Sequence[Episode], round_: int) -> dict[str, float]:
        """Credit a round's finished episodes; returns the metric `extractor/credited`, of completions."""
        parts, credited = self._parts, set()
        reward = REWARDS.load(parts.config.extractor.reward, "extractor.reward")
        rates = free_rates(episodes)
        wrote = cache(partial(self._writers, by_round=round_))  # what one of a group retrieved, its others did
        self._at_hand = {use.completion.id: use.completion for one in episodes for use in one.asks if use.completion}
        for episode in episodes:

            def known(entry_id: str | None, group: tuple[int, int] = group_of(episode.key)) -> Evidence:
                return Evidence(rates.get(group), self._effect(entry_id), self._memory(entry_id))

            for completion_id, score in episode_credits(episode, reward, wrote=wrote, known=known).items():
                if completion := self._fresh(completion_id):
                    parts.buffer.credit(completion, score, round_)
                    credited.add(completion_id)
        return {"extractor/credited": float(len(credited))}

    def _effect(self, entry_id: str | None) -> float | None:
        measured = None if entry_id is None else self._parts.bank.effect(entry_id)
        return None if measured is None else measured.mean

    def _memory(self, entry_id: str | None) -> float | None:
        probes = self._memorised.get(entry_id)
        return statistics.fmean(probes) if probes else None

    def _writers(self, entry_id: str, by_round: int) -> tuple[str, ...]:
        """Completions that had written the entry by then and are still learned from, each once."""
        ids = (one.completion_id for one in self._parts.bank.origins(entry_id) if one.round <= by_round)
        return tuple(id_ for id_ in dict.fromkeys(ids) if self._fresh(id_))

    def _fresh(self, completion_id: str) -> Completion | None:
        """The completion; None for one that is not learned from any more, or that the bank was given without one."""
        known = self._versions.get(completion_id)
        if known is not None and not self._parts.learns_from(known):
            return None
        completion = self._at_hand.get(completion_id) or self._parts.bank.completion(completion_id)
        if completion is None:
            return None
        self._at_hand[completion_id], self._versions[completion_id] = completion, completion.version
        return completion if self._parts.learns_from(completion.version) else None
