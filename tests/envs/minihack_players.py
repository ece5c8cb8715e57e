"""Shared by the MiniHack tests: tasks and whole episodes of scripted play."""

from crl.envs.contract import Observation, StepResult, TextEnv
from crl.seeding import stream
from crl.tiny.scripts import script_of
from crl.types import Task

ROOM, MAZE, KEYROOM = "MiniHack-Room-Dark-5x5-v0", "MiniHack-MazeWalk-9x9-v0", "MiniHack-KeyRoom-S5-v0"
ULTIMATE = "MiniHack-Room-Ultimate-5x5-v0"


def task(level: str, seed: int, max_steps: int = 30) -> Task:
    return Task(f"{level}/{seed}", "test", "minihack", level, seed, max_steps)


def scripted(env: TextEnv, played: Task, movement: str, objects: str = "ignore_key") -> tuple[list[str], StepResult]:
    """Actions of one episode and its last result; `env` must show slots."""
    (strategy,) = script_of("minihack", played.level).strategies((movement, objects))
    policy, actions = strategy.start(stream("test", played.seed)), []
    observation: Observation = env.reset(played)
    while True:
        actions.append(policy.act(observation.text))
        result = env.step(actions[-1])
        if result.done:
            return actions, result
        observation = result.observation
