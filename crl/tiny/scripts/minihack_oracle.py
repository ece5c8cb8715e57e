"""Proof that a level can be won: the best strategies try it until one wins, and its actions are the proof.

The engine is deterministic in its seed and its actions, so a win can be replayed. That is what "oracle" means here: the
real engine hides its map, and no planner of ours knows NetHack's monsters.
"""

from contextlib import closing

from crl.envs.contract import TextEnv
from crl.envs.errors import EnvError
from crl.envs.minihack.env import MiniHackEnv
from crl.seeding import stream
from crl.tiny.scripts.minihack import script
from crl.tiny.scripts.script import ScriptedPolicy
from crl.tiny.slots.minihack import MiniHackSlots
from crl.types import Outcome, Task

TRIES = 400
_MOVEMENTS = ("unvisited", "unvisited", "seek", "wander")  # the systematic one twice as often


def solve(task: Task) -> tuple[str, ...]:
    """Actions that win the level within its step limit. Raises EnvError when none of the tries does."""
    skills = script(task.level)
    with closing(MiniHackSlots(MiniHackEnv())) as env:
        for attempt in range(TRIES):
            (strategy,) = skills.strategies((_MOVEMENTS[attempt % len(_MOVEMENTS)], "take_key"))
            policy = strategy.start(stream("oracle", task.level, task.seed, attempt))
            if actions := _win(env, task, policy):
                return actions
    raise EnvError(f"{task.id}: {TRIES} scripted tries did not win. Remedy: raise max_steps = {task.max_steps}")


def _win(env: TextEnv, task: Task, policy: ScriptedPolicy) -> tuple[str, ...] | None:
    observation, actions = env.reset(task), []
    while True:
        actions.append(policy.act(observation.text))
        result = env.step(actions[-1])
        if result.done:
            return tuple(actions) if result.outcome is Outcome.SUCCESS else None
        observation = result.observation
