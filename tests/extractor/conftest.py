"""An engine whose replies are written down, and a chat format whose ids are words, for flows without a model."""

from dataclasses import dataclass, field

import pytest

from crl.config import Config, from_mapping
from crl.engine.protocol import Sampling
from crl.types import Completion, Episode, EpisodeKey, GateDecision, Guidance, Outcome, Task, Turn, TurnKind


@dataclass(frozen=True)
class Request:
    session: str
    prompt: str
    sampling: Sampling
    id: str


class WordChat:
    """`ChatFormat.open` and `decode` with one id per word."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}

    def open(self, messages) -> tuple[int, ...]:
        words = [word for message in messages for word in message.content.replace("\n", " \n ").split(" ") if word]
        return tuple(self.words.setdefault(word, len(self.words)) for word in words)

    def decode(self, ids: tuple[int, ...]) -> str:
        by_id = {number: word for word, number in self.words.items()}
        return " ".join(by_id[number] for number in ids)


@dataclass
class ScriptedEngine:
    chat: WordChat
    replies: list[str]
    room: int = 100_000
    version: int = 3
    requests: list[Request] = field(default_factory=list)
    open_sessions: int = 0

    def session(self, key: str) -> "ScriptedSession":
        return ScriptedSession(self, key)


@dataclass
class ScriptedSession:
    engine: ScriptedEngine
    key: str

    @property
    def room(self) -> int:
        return self.engine.room

    async def __aenter__(self) -> "ScriptedSession":
        self.engine.open_sessions += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.engine.open_sessions -= 1

    async def generate(self, new_ids: tuple[int, ...], sampling: Sampling, request_id: str) -> Completion:
        assert len(new_ids) + sampling.max_new_tokens <= self.engine.room
        text = self.engine.replies[len(self.engine.requests)]
        self.engine.requests.append(Request(self.key, self.engine.chat.decode(new_ids), sampling, request_id))
        ids = tuple(range(len(text.split())))
        logprobs = (-0.5,) * len(ids)
        return Completion(request_id, new_ids, ids, logprobs, text, "stop", self.engine.version, sampling.temperature)


@pytest.fixture(scope="session")
def scripted():
    """`scripted(reply, ...)`: an engine that gives these replies in order and keeps every request."""
    return lambda *replies, **options: ScriptedEngine(WordChat(), list(replies), **options)


@pytest.fixture(scope="session")
def configure():
    """`configure(extractor={...})`: parameters with one task and the given sections."""

    def make(**sections) -> Config:
        mix = {"maze": {"level": "MiniHack-MazeWalk-9x9-v0"}}
        models = {"extractor": {"context_tokens": 65_536}}
        return from_mapping({"tasks": {"mix": mix}, "models": models} | sections)

    return make


@pytest.fixture(scope="session")
def play():
    """`play([(observation, reply), ...])`: a finished guided episode."""

    def make(turns, *, shown=None, retrieved=(), outcome=Outcome.DEATH, final="You die.") -> Episode:
        ids = tuple(f"entry-{number}" for number in range(1, len(retrieved) + 1))
        return Episode(
            key=EpisodeKey(2, 1, 5),
            task=Task("maze/train/7", "maze", "minihack", "MiniHack-MazeWalk-9x9-v0", 7, 30),
            guided=True,
            turns=tuple(
                Turn(TurnKind.ACTION, observation, Completion(f"t{i}", (1,), (2,), (0.0,), reply, "stop", 0), "east")
                for i, (observation, reply) in enumerate(turns)
            ),
            outcome=outcome,
            reward=float(outcome is Outcome.SUCCESS),
            env_steps=len(turns),
            guidance=Guidance("query", GateDecision.ACCEPT, ids, tuple(retrieved), shown),
            goal="reach the stairs",
            final_observation=final,
        )

    return make
