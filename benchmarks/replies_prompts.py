"""What `benchmarks.replies` asks real models: the prompts of a set, over episodes that were really played.

Played by an oracle and by chance in turn, so half of the outcomes are successes; the observations are those of the style `grid`.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from crl.actor.gate import TaskRecord
from crl.actor.prompts import actor_prompts
from crl.config import Config, from_mapping
from crl.config.compose import compose
from crl.engine.spoken import Speaker, SpokenEngine
from crl.envs.contract import Observation
from crl.envs.hosting.pool import EnvPool
from crl.envs.registry import make_env
from crl.episode.many import play_all
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.extractor.prompts import extractor_prompts, instructions
from crl.models.chat import ChatFormat, Message
from crl.seeding import stream
from crl.tasks.sets import instances
from crl.tiny.scripts import solution_of
from crl.tiny.tokenizer import train_tokenizer
from crl.types import Episode, EpisodeKey, Outcome, Task

LAST_TURNS = 3  # of a transcript: two cores read these prompts
ENTRIES = {
    "room": (
        "<title>Crossing a dark room</title><content>When only the squares beside you are shown, walk along a wall until a new "
        "square appears, and keep in mind which corners you have seen. If a step changes nothing, there is a wall: turn.</content>",
        "<title>Finding the stairs</title><content>The goal is the sign > on the map. Move so that both distances shrink: a "
        "diagonal step does both at once. Do not wait for monsters in an empty room.</content>",
        "<title>Blocked step</title><content>If the last move did not change the map, do not repeat it. Try a neighbouring "
        "direction first, then the opposite one.</content>",
    ),
    "webshop": (
        "<title>Search words</title><content>Search for the kind of product and its most special attribute only. Prices and "
        "sizes in the query hide products that fit.</content>",
        "<title>Options before buying</title><content>On a product's page choose every option that the goal names, such as "
        "colour and size, and buy only then. A product above the price limit scores less.</content>",
        "<title>Wrong product</title><content>If the page does not fit the goal, go back to the results and look at the next "
        "one instead of searching anew. After three that do not fit, search with other words.</content>",
    ),
    "alfworld": (
        "<title>Looking for a thing</title><content>Visit open places such as tables and counters first, then closed ones: open "
        "a drawer or cabinet before you decide that it is empty. Remember what was visited.</content>",
        "<title>Heating and cooling</title><content>Take the thing first, carry it to the microwave or fridge, and use heat or "
        "cool there. Then go to the target and put it down.</content>",
        "<title>Nothing happens</title><content>When the answer is that nothing happens, the place or the thing is named wrongly. "
        "Read the last observation again and use its exact names.</content>",
    ),
}  # fmt: skip
QUESTIONS = {
    "room": "I walk east in a dark room and the map does not change. I tried east twice. What should I do next?",
    "webshop": "The first three results do not match the colour that I need. Should I search again, and with which words?",
    "alfworld": "I am at the drawer and nothing happens when I try to take the mug. I have not opened it. What now?",
}
_NO_EPISODE = Episode(EpisodeKey(0, 0, 0), Task("", "", "", "", 0, 0), False, (), Outcome.TIMEOUT, 0.0, 0)
FREE = {"webshop": "search[red shoes]"}  # what chance says where no name is offered


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt, and what its reader has to know beside the reply."""

    purpose: str  # distil, merge, gate, ask, act
    task: str
    number: int
    messages: tuple[Message, ...]
    shown: int = 0  # entries that a distillation's prompt lists
    actions: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.purpose}/{self.task}/{self.number}"


@cache
def settings(prompts: str = "full") -> Config:
    """The three-task mix, played and told as pretrained models are, by the prompt set of this name."""
    overrides = [f"actor.prompts={prompts}", f"extractor.prompts={prompts}"]
    overrides += ["envs.observation=grid", "tasks.train_levels=16"]
    overrides += [f"tasks.mix.{name}.train_levels=16" for name in ("webshop", "alfworld")]
    overrides += ["models.actor.context_tokens=100000", "rollout.live_episodes=2", "envs.workers=0"]
    return from_mapping(compose("laptop_3task", overrides))


def asked(config: Config, counts: dict[str, int]) -> Iterator[Asked]:
    """So many prompts of each purpose, spread over the tasks; half of the distillations with two entries retrieved."""
    tasks = list(config.tasks.mix)
    levels = {name: list(instances(config, name, "train")) for name in tasks}
    episodes = played(settings(), {name: levels[name][: -(-counts["distil"] // len(tasks))] for name in tasks})
    writes, acts = extractor_prompts(config.extractor.prompts), actor_prompts(config.actor)
    for index in range(counts["distil"]):
        task, number = tasks[index % len(tasks)], index // len(tasks)
        entries = ENTRIES[task][:2] if number % 4 in (1, 2) else ()
        messages = writes.distil(
            episodes[task][number],
            entries,
            max_operations=config.extractor.distil.max_operations,
            last_turns=LAST_TURNS,
        )
        yield Asked("distil", task, number, tuple(messages), len(entries))
    for index in range(counts["merge"]):
        task = tasks[index % len(tasks)]
        yield Asked("merge", task, index // len(tasks), tuple(writes.merge(task, ENTRIES[task])))
    for index in range(counts["ask"]):
        task, number = tasks[index % len(tasks)], index // len(tasks)
        yield Asked("ask", task, number, tuple(writes.ask(QUESTIONS[task], ENTRIES[task][number % 3])))
    for index in range(counts["gate"]):
        task, number = tasks[index % len(tasks)], index // len(tasks)
        first = first_observation(config, levels[task][number])
        situation = "\n\n".join(message.content for message in acts.opening(first))
        record = TaskRecord(0.25 * (number % 4), 40)
        messages = acts.gate(situation, ENTRIES[task][number % 3], record.mean_success, record.episodes)
        yield Asked("gate", task, number, tuple(messages))
    for index in range(counts["act"]):
        task, number = tasks[index % len(tasks)], index // len(tasks)
        first = first_observation(config, levels[task][number])
        shown = ENTRIES[task][number % 3] if number % 2 else None
        messages = tuple(acts.opening(first, shown))
        yield Asked("act", task, number, messages, actions=first.actions, forms=first.forms)


def instructions_of(config: Config, purpose: str, shown: int) -> str:
    """What the prompts of a purpose say of themselves, whatever they are about: a reply that repeats it has said nothing."""
    writes, acts = extractor_prompts(config.extractor.prompts), actor_prompts(config.actor)
    match purpose:
        case "distil":
            return instructions(
                writes.distil(
                    _NO_EPISODE, [""] * shown, max_operations=config.extractor.distil.max_operations, last_turns=None
                )
            )
        case "merge":
            return instructions(writes.merge("", [""]))
        case "ask":
            return instructions(writes.ask("", ""))
        case "gate":
            return instructions(acts.gate("", "", 0.0, 0))
        case _:
            return ""


def first_observation(config: Config, task: Task) -> Observation:
    env = make_env(task.family, config.envs.observation, config.envs.sandbox)
    try:
        return env.reset(task)
    finally:
        env.close()


def played(config: Config, levels: dict[str, list[Task]]) -> dict[str, list[Episode]]:
    """One episode of each level, by task: the even ones by the oracle, the odd ones by chance."""
    specs = [
        EpisodeSpec(EpisodeKey(0, group, index), task, False)
        for group, name in enumerate(levels)
        for index, task in enumerate(levels[name])
    ]
    by_key = {str(spec.key): spec for spec in specs}
    chat = ChatFormat(train_tokenizer(["go north to the door"], 300))

    def speaker(key: str) -> Speaker:
        spec = by_key[key]
        if spec.key.index % 2 == 0 and (solution := solution_of(spec.task.family)):
            lines = iter(solution(spec.task))
            return lambda heard: f"<answer>{next(lines, '')}</answer>"
        draw = stream("benchmark-replies", key)

        def by_chance(heard: str) -> str:
            names = re.findall(r"^Actions: (.*)$", heard, re.MULTILINE)
            offered = [name for name in (names[-1].split(", ") if names else []) if "..." not in name]
            return f"<answer>{draw.choice(offered) if offered else FREE[spec.task.name]}</answer>"

        return by_chance

    async def play() -> Sequence[Episode]:
        with EnvPool(config.envs) as pool:
            player = Player(config, "replies", SpokenEngine(speaker, chat, 10**9), chat, pool)
            return await play_all(player, specs, live=2)

    ends = asyncio.run(play())
    return {name: [end for end in ends if end.task.name == name] for name in levels}
