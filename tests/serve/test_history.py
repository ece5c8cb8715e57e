"""The served agent continues from a history as the episode went on: the same token ids, and the same words."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crl.config import Config, from_mapping
from crl.config.compose import compose
from crl.engine.protocol import Sampling
from crl.envs.contract import Observation, StepResult
from crl.envs.hosting.pool import EnvPool
from crl.episode.loop import play
from crl.episode.player import Player
from crl.errors import DataError
from crl.models.chat import ChatFormat
from crl.seeding import derive_seed
from crl.serve import agent as serve
from crl.serve.agent import Agent, Exchange, Request
from crl.tasks.sets import TaskSets
from crl.types import Completion, Episode, Task, TurnKind
from tests.episode.test_thoughts import thinker
from tests.flows.agents import tokenizer, write_bank
from tests.round.runs import CONF

ASK = "<search_and_ask> which way? </search_and_ask>"
DOORS = ["left0", "right0", "left1", "right1", "left2", "right2", "say[ho]", "say[nothing]", "jump", ASK]
SHOP = ["search", "open", "skip", "back", "next", "options", "details", "jump"]


class Chooser:
    """An engine that picks its words by the whole context and the request's seed: other ids, other words.

    It spells them letter by letter, which no tokenizer would do. `contexts` holds what it was asked to continue.
    """

    version = 0

    def __init__(self, chat: ChatFormat, words: list[str]) -> None:
        self.chat, self.words = chat, words
        self.contexts: list[tuple[int, ...]] = []

    def session(self, key: str) -> "Choosing":
        return Choosing(self, gate=key.endswith("/gate"))

    def close(self) -> None:
        return None


class Choosing:
    room = 100_000

    def __init__(self, engine: Chooser, gate: bool) -> None:
        self.engine, self.gate, self.ids = engine, gate, ()

    async def __aenter__(self) -> "Choosing":
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    def rewind(self, tokens: int) -> None:
        self.ids = self.ids[:-tokens]

    async def generate(self, new_ids: tuple[int, ...], sampling: Sampling, request_id: str) -> Completion:
        self.ids += new_ids
        if not self.gate:
            self.engine.contexts.append(self.ids)
        words = ["accept", "refine go on", "reject"] if self.gate else self.engine.words
        seed = derive_seed(*self.ids, sampling.seed)
        text = words[seed % len(words)]
        ids = tuple(index for letter in text for index in self.engine.chat.encode(letter))
        ids += self.engine.chat.closing if seed % 2 else ()
        self.ids += ids
        return Completion(request_id, new_ids, ids, (0.0,) * len(ids), text, "stop", 0)


class Expert(Chooser):
    """Answers every question in the same way."""

    def session(self, key: str) -> "Choosing":
        return Choosing(Chooser(self.chat, ["<answer>go right</answer>"]), gate=False)


class WatchedPool(EnvPool):
    """Keeps what the environment showed, turn by turn."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.steps: list[StepResult] = []

    async def reset(self, task: Task) -> tuple[int, Observation]:
        slot, self.first = await super().reset(task)
        return slot, self.first

    async def step(self, slot: int, action: str) -> StepResult:
        self.steps.append(await super().step(slot, action))
        return self.steps[-1]


def config_of(style: str, **entry) -> Config:
    values = compose("quick", ["tasks.train_levels=2", "tasks.eval_levels=1", f"actor.prompts={style}"], CONF)
    values["tasks"]["mix"] = {"room": entry}
    values["envs"] |= {"workers": 0, "observation": "slots"}
    values["actor"] |= {
        "gate": {"enabled": True, "max_new_tokens": 8},
        "ask": {"enabled": True, "max_uses": 2, "max_new_tokens": 8},
    }
    return from_mapping(values)


def without_thoughts(config: Config) -> Config:
    return config.model_copy(update={"actor": config.actor.model_copy(update={"thoughts": "drop"})})


DOORS_IN_THOUGHT = [
    "jump", "<think> never ends", *(f"<think>{draft} </think>\n{word}" for draft in DOORS[:3] for word in (*DOORS[:7], ASK))
]  # fmt: skip
CASES = {
    "doors, thoughts dropped": (
        without_thoughts(config_of("full", family="tests.envs.toy_envs:Doors", level="plain", max_steps=12)),
        DOORS_IN_THOUGHT,
    ),
    "doors, full prompts": (config_of("full", family="tests.envs.toy_envs:Doors", level="plain", max_steps=12), DOORS),
    "doors, compact": (config_of("compact", family="tests.envs.toy_envs:Doors", level="plain", max_steps=12), DOORS),
    "webshop in slots": (config_of("compact", family="webshop", level="small", max_steps=20), [*SHOP, ASK]),
}


@pytest.fixture(params=CASES)
def case(request, monkeypatch, tmp_path) -> Iterator[tuple[Config, Chooser, Agent]]:
    config, words = CASES[request.param]
    chat = thinker(ChatFormat(tokenizer()), "")
    engines = {"actor": Chooser(chat, words), "extractor": Expert(chat, words)}
    monkeypatch.setattr(serve, "open_engine", lambda config, role, *_, **__: (None, chat, engines[role]))
    write_bank(tmp_path / "bank")
    agent = Agent(config, Path("actor"), Path("extractor"), tmp_path / "bank", {})
    yield config, engines["actor"], agent
    agent.close()


async def played(config: Config, engine: Chooser, agent: Agent, task: Task) -> tuple[Episode, WatchedPool]:
    """A guided episode by the one loop, from the random streams of the served episode with the same beginning."""
    with WatchedPool(config.envs) as pool:
        slot, first = await pool.reset(task)
        pool.release(slot)
        spec = Request(task.name, first.goal, first.text, first.actions, first.forms, first.manual).spec
        player = Player(
            config, "run", engine, engine.chat, pool, retriever=agent._retriever, records={}, expert=agent._expert,
            temperature=config.evaluate.temperature,
        )  # fmt: skip
        return await play(player, replace(spec, task=replace(task, id=spec.task.id))), pool


def test_at_every_turn_it_has_the_episodes_own_token_ids_and_says_the_same(case):
    config, engine, agent = case
    task = TaskSets.generate(config).train["room"][0]
    episode, pool = asyncio.run_coroutine_threadsafe(played(config, engine, agent, task), agent._loop).result()
    kinds = {turn.kind for turn in episode.turns}
    assert kinds == set(TurnKind)  # valid moves, invalid ones and questions
    contexts, engine.contexts = engine.contexts, []
    first, said = pool.first, [turn for turn in episode.turns if turn.kind is not TurnKind.ASK]
    shown, history = first, ()
    for turn, step in zip(said, pool.steps, strict=True):
        request = Request(task.name, first.goal, shown.text, shown.actions, shown.forms, first.manual, history)
        [answer] = agent.answer([request])
        assert (answer.reply, answer.action) == (turn.completion.text, turn.action)
        assert answer.experience == episode.guidance.shown
        history += (*answer.turns[:-1], replace(answer.turns[-1], valid=step.valid))
        shown = step.observation
    assert engine.contexts == contexts
    assert len({step.observation.actions for step in pool.steps}) > 1  # else nothing changed


def test_a_turn_that_does_not_say_what_could_be_done_in_it_is_refused_with_a_remedy(case):
    agent = case[2]
    request = Request("room", "g", "o", ("left1",), history=(Exchange("before", "left0"),))
    with pytest.raises(DataError, match=r"row 0: history\[0\] has neither actions nor forms.*Remedy: append"):
        agent.answer([request])


def test_tokens_that_are_not_those_of_the_reply_are_refused(case):
    agent = case[2]
    turn = Exchange("before", "left0", ("left0",), reply_ids=agent._chat.encode("right0"))
    with pytest.raises(DataError, match=r"history\[0\]\.reply_ids are not the tokens of its reply.*Remedy"):
        agent.answer([Request("room", "g", "o", ("left1",), history=(turn,))])


def test_an_agent_of_legal_replies_refuses_what_it_cannot_list(case):
    agent = case[2]
    legal = agent.config.actor.model_copy(update={"replies": "legal"})
    agent.config = agent.config.model_copy(update={"actor": legal})
    with pytest.raises(DataError, match=r"row 0: this agent answers with one of the actions.*Remedy: send the names"):
        agent.answer([Request("room", "g", "o", ("left1",), forms=("search[{}]",))])


def test_a_reply_that_the_environment_understood_then_stays_an_action_whatever_can_be_done_now(case):
    _, engine, agent = case
    turn = Exchange("before", "left0", ("left0", "right0"))
    agent.answer([Request("room", "g", "now", ("left1", "right1"), history=(turn,))])
    understood = engine.chat.decode(engine.contexts[-1])
    agent.answer([Request("room", "g", "now", ("left1", "right1"), history=(replace(turn, valid=False),))])
    refused = engine.chat.decode(engine.contexts[-1])
    assert len(refused) > len(understood)  # it is told that nothing was understood
