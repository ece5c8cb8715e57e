"""Hosts the environments of many episodes in one process, and reuses them."""

from collections.abc import Callable
from typing import Any

from crl.config.play import EnvsConfig
from crl.envs.contract import Observation, StepResult, TextEnv
from crl.envs.errors import EnvCrash, EnvError
from crl.envs.registry import family_class, make_env
from crl.errors import CrlError
from crl.types import Task

Key = tuple[str, str]  # family, level
MAX_OPEN = 128  # environments, about 3.4 MB each for MiniHack; idle ones make room first


class EnvHost:
    """Episodes by slot number. An environment serves one level after another episode's end.

    The caller bounds the episodes in flight (`rollout.live_episodes`); this bounds what lies idle.
    """

    def __init__(self, config: EnvsConfig) -> None:
        self._config = config
        self._playing: dict[int, tuple[Key, TextEnv]] = {}
        self._idle: list[tuple[Key, TextEnv]] = []  # least recently used first

    def load(self, task: Task) -> None:
        """Import the family of the task, which takes seconds the first time. Raises CrlError."""
        family_class(task.family)

    def reset(self, slot: int, task: Task) -> Observation:
        """Start the task in a slot. Raises CrlError; after that the slot is free again."""
        self.release(slot)
        key = (task.family, task.level)
        env = self._take(key)
        self._playing[slot] = (key, env)
        return self._guard(slot, env.reset, task)

    def step(self, slot: int, action: str) -> StepResult:
        """Play one action. Raises CrlError; after that the slot is free again."""
        if slot not in self._playing:
            raise EnvError(f"slot {slot} plays no episode. Remedy: reset it first, and not after an error")
        return self._guard(slot, self._playing[slot][1].step, action)

    def release(self, slot: int) -> None:
        """Give a slot's environment back for reuse; a free slot is no error."""
        if slot in self._playing:
            key, env = self._playing.pop(slot)
            if hasattr(env, "leave"):  # an episode may be given up before its end: what it holds is freed now
                env.leave()
            self._idle.append((key, env))

    def close(self) -> None:
        for _, env in (*self._playing.values(), *self._idle):
            env.close()
        self._playing.clear()
        self._idle.clear()

    def _take(self, key: Key) -> TextEnv:
        for index in reversed(range(len(self._idle))):
            if self._idle[index][0] == key:
                return self._idle.pop(index)[1]
        while self._idle and len(self._playing) + len(self._idle) >= MAX_OPEN:
            self._idle.pop(0)[1].close()
        return make_env(key[0], self._config.observation, self._config.sandbox)

    def _guard(self, slot: int, call: Callable, argument: Any) -> Any:
        """Run one call of foreign code: whatever it raises becomes a typed failure of this episode only,
        and the environment that raised is not used again."""
        try:
            return call(argument)
        except CrlError:
            del self._playing[slot]
            raise
        except Exception as error:  # the boundary to foreign code; counted by the rollout as ENV_CRASH
            (_, level), _ = self._playing.pop(slot)
            raise EnvCrash(f"{level}: {type(error).__name__}: {error}") from error
