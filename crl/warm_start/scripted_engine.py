"""A scripted player behind the engine protocol, so that warm-start data comes out of the one episode loop."""

from dataclasses import dataclass

import numpy as np

from crl.chat import ChatFormat
from crl.engine.protocol import Sampling
from crl.envs.base import Observation
from crl.envs.minihack.scripted import ScriptedPlayer
from crl.seeding import stream
from crl.tasks import EpisodeSpec
from crl.types import Completion, Experience, Origin
from crl.warm_start.strategies import Strategy, draw


@dataclass(frozen=True)
class Casting:
    """Which episode plays which strategy: advised ones any, the others a spontaneous one."""

    seed: int
    advised: tuple[Strategy, ...]
    spontaneous: tuple[Strategy, ...]

    def strategy(self, key: str, guided: bool) -> Strategy:
        return draw(self.advised if guided else self.spontaneous, stream(self.seed, "casting", key))


class AdviceGiver:
    """Stands where the bank's read side stands: hands each episode the advice that its player will follow."""

    def __init__(self, casting: Casting) -> None:
        self._casting = casting

    async def retrieve(self, scope: str, text: str, *, key: str, round: int) -> list[Experience]:
        advice = self._casting.strategy(key, guided=True).advice
        return [Experience(f"script/{key}", scope, advice, text, Origin("", key, round, "seed"))]


class ScriptedSession:
    """Reads the observation back from the token ids, as the model will have to, and answers by script."""

    def __init__(self, player: ScriptedPlayer, chat: ChatFormat, room: int) -> None:
        self._player, self._chat, self.room = player, chat, room

    async def __aenter__(self) -> "ScriptedSession":
        self._player.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def generate(self, new_ids: tuple[int, ...], sampling: Sampling, request_id: str) -> Completion:
        action = self._player.act(Observation(_sentence(self._chat.decode(new_ids))))
        ids = self._chat.encode(action)
        self.room -= len(new_ids) + len(ids)
        return Completion(request_id, tuple(new_ids), ids, (0.0,) * len(ids), action, "stop", 0)


def _sentence(text: str) -> str:
    """The last slots sentence in a rendered conversation: from the north mark to the end of the message."""
    return text[text.rindex("n:") :].partition("<|")[0]


class ScriptedEngine:
    """One player per session; its random stream derives from the session's key."""

    version = 0

    def __init__(self, casting: Casting, chat: ChatFormat, specs: list[EpisodeSpec], context_tokens: int) -> None:
        self._casting, self._chat, self._room = casting, chat, context_tokens
        self._guided = {str(spec.key): spec.guided for spec in specs}

    def session(self, key: str) -> ScriptedSession:
        strategy = self._casting.strategy(key, self._guided[key])
        rng: np.random.Generator = stream(self._casting.seed, "script", key)
        return ScriptedSession(ScriptedPlayer(strategy.movement, strategy.objects, rng), self._chat, self._room)

    def load_weights(self, state: dict, version: int) -> float:
        return 0.0

    def close(self) -> None:
        return None
