"""An engine whose one reply is written down, and a chat format whose ids are words, for flows without a model."""

from dataclasses import dataclass, field

import pytest

from crl.actor.prompts import ActorPrompts, actor_prompts
from crl.config import Config, from_mapping
from crl.config.play import ActorConfig, AskConfig
from crl.engine.protocol import Sampling
from crl.envs.contract import Observation
from crl.types import Completion


def prompts_of(style: str, inject: str, ask_uses: int) -> ActorPrompts:
    return actor_prompts(ActorConfig(prompts=style, inject=inject, ask=AskConfig(max_uses=ask_uses)))


class WordChat:
    """`ChatFormat.open` with one id per word; keeps the messages of every prompt."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def open(self, messages) -> tuple[int, ...]:
        self.prompts.append("\n".join(message.content for message in messages))
        return tuple(range(len(self.prompts[-1].split())))

    def decode(self, ids: tuple[int, ...]) -> str:
        words = self.prompts[-1].split()
        return " ".join(words[number] for number in ids)


@dataclass
class OneReply:
    """Engine and session in one."""

    reply: str
    version: int = 3
    room: int = 100_000
    keys: list[str] = field(default_factory=list)
    samplings: list[Sampling] = field(default_factory=list)
    open_sessions: int = 0

    def session(self, key: str) -> "OneReply":
        self.keys.append(key)
        return self

    async def __aenter__(self) -> "OneReply":
        self.open_sessions += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.open_sessions -= 1

    async def generate(self, new_ids: tuple[int, ...], sampling: Sampling, request_id: str) -> Completion:
        self.samplings.append(sampling)
        return Completion(request_id, new_ids, (7,), (-0.1,), self.reply, "stop", self.version)


@pytest.fixture
def chat() -> WordChat:
    return WordChat()


@pytest.fixture
def answering():
    """`answering(reply)`: an engine that always says the same."""
    return OneReply


@pytest.fixture
def observation() -> Observation:
    return Observation(
        text="n:open e:wall s:back w:seen stairs:unseen",
        goal="reach the stairs",
        actions=("north", "east", "pick_up"),
        manual="Rules\n> is the staircase.",
    )


@pytest.fixture
def configure():
    """`configure(actor={...})`: parameters with one task and the given sections."""

    def make(**sections) -> Config:
        mix = {"maze": {"level": "MiniHack-MazeWalk-9x9-v0"}}
        models = {"extractor": {"context_tokens": 65_536}}
        return from_mapping({"tasks": {"mix": mix}, "models": models} | sections)

    return make
