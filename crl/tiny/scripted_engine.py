"""Scripted play behind the engine protocol, so that warm-start data comes out of the one episode loop."""

from crl.engine.protocol import Sampling
from crl.models.chat import ChatFormat
from crl.seeding import stream
from crl.tiny.casting import Casting
from crl.tiny.prompts import observation_in
from crl.tiny.scripts.script import ScriptedPolicy
from crl.types import Completion, Experience, Origin


class AdviceGiver:
    """Stands where the bank's read side stands: hands each episode the advice that its policy will follow."""

    def __init__(self, casting: Casting) -> None:
        self._casting = casting

    async def retrieve(self, scope: str, text: str, *, key: str, round: int) -> list[Experience]:
        advice = self._casting.strategy(key).advice
        return [Experience(f"script/{key}", scope, advice, text, Origin("", key, round, "seed"))]


class ScriptedSession:
    """Reads the observation back from the token ids, as the model will have to, and answers by script."""

    def __init__(self, policy: ScriptedPolicy, chat: ChatFormat, room: int) -> None:
        self._policy, self._chat, self.room = policy, chat, room

    async def __aenter__(self) -> "ScriptedSession":
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def generate(self, new_ids: tuple[int, ...], sampling: Sampling, request_id: str) -> Completion:
        action = self._policy.act(_sentence(self._chat.decode(new_ids)))
        ids = self._chat.encode(action)
        self.room -= len(new_ids) + len(ids)
        return Completion(request_id, tuple(new_ids), ids, (0.0,) * len(ids), action, "stop", 0)


def _sentence(text: str) -> str:
    """The slots sentence of the last message in a rendered conversation."""
    return observation_in(text.rpartition("<|user|>")[2].partition("<|")[0])


class ScriptedEngine:
    """One policy per session; its random stream derives from the session's key."""

    version = 0

    def __init__(self, casting: Casting, chat: ChatFormat, context_tokens: int) -> None:
        self._casting, self._chat, self._room = casting, chat, context_tokens

    def session(self, key: str) -> ScriptedSession:
        policy = self._casting.strategy(key).start(stream(self._casting.seed, "script", key))
        return ScriptedSession(policy, self._chat, self._room)

    def load_weights(self, state: dict, version: int) -> float:
        return 0.0

    def close(self) -> None:
        return None
