"""Earlier episodes as text, which guided episodes are shown in the place of an experience (`actor.guidance: transcripts`).

The arm of long context: nothing is distilled; the newest episodes themselves go into the prompt, those that began in the same
situation first.
"""

from collections import OrderedDict, deque
from itertools import chain, islice
from pathlib import Path

from crl.actor.prompts import actor_prompts
from crl.config.play import ActorConfig
from crl.episode.situation import situation_of
from crl.files import read_json, write_json
from crl.types import Episode, GateDecision, Guidance

FILE_NAME = "recollections.json"
SITUATIONS = 2000  # kept per scope, the ones played last: a store as large as the bank would be a copy of the run


class Recollections:
    """The newest episodes of each situation, by scope (`bank.scope`)."""

    def __init__(self, config: ActorConfig) -> None:
        self._prompts, self._most = actor_prompts(config), config.transcripts
        self._scopes: dict[str, OrderedDict[str, deque[str]]] = {}

    def add(self, scope: str, episode: Episode) -> None:
        """Keep an episode as the prompt set retells it, with its outcome."""
        known = self._scopes.setdefault(scope, OrderedDict())
        situation = situation_of(episode)
        known.setdefault(situation, deque(maxlen=self._most)).appendleft(self._prompts.retold(episode))
        known.move_to_end(situation)
        while len(known) > SITUATIONS:
            known.popitem(last=False)

    def recall(self, scope: str, query: str) -> list[str]:
        """At most `actor.transcripts` episodes: of the same situation, newest first; then of the situations played last."""
        known = self._scopes.get(scope, OrderedDict())
        others = (known[situation] for situation in reversed(known) if situation != query)
        return list(islice(chain(known.get(query, ()), chain.from_iterable(others)), self._most))

    def offers(self, scope: str, query: str) -> tuple[Guidance, ...]:
        """What may be shown in this situation: ever fewer episodes."""
        texts = self.recall(scope, query)
        offered = tuple(
            Guidance(query, GateDecision.OFF, shown=self._prompts.join_recollections(texts[:count]), recalled=count)
            for count in range(len(texts), 0, -1)
        )
        return offered or (Guidance(query, GateDecision.EMPTY),)

    def save(self, folder: Path) -> None:
        write_json(
            folder / FILE_NAME,
            {scope: [[at, list(texts)] for at, texts in known.items()] for scope, known in self._scopes.items()},
        )

    def load(self, folder: Path) -> None:
        """Raises DataError when the file is missing or damaged."""
        self._scopes = {
            scope: OrderedDict((at, deque(texts, self._most)) for at, texts in known)
            for scope, known in read_json(folder / FILE_NAME).items()
        }


def read_recollections(config: ActorConfig, folder: Path) -> Recollections | None:
    """What a snapshot's folder holds of them; None where none are shown. Raises DataError when the file is missing."""
    if config.guidance != "transcripts":
        return None
    made = Recollections(config)
    made.load(folder)
    return made
