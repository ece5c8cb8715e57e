"""The real engine behind one level id: seeded resets, steps by action name, outcomes by end status.

Library facts this file is built around (nle 1.3.0, minihack 1.0.2):
- `env.reset(seed=...)` does not seed NetHack; `seed()` before every reset does.
- `gym.make(max_episode_steps=...)` is swallowed by a wrapper, and NLE's own limit ends an episode as
  terminated; so the class is built without wrappers and without a limit, and `MiniHackEnv` counts.
- Observation arrays are the engine's own buffers, overwritten by the next step.
"""

import difflib
import warnings
from typing import NamedTuple

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator
from nle.nethack import Command, CompassDirection

from crl.envs.errors import EnvError, EnvUnavailable
from crl.types import Outcome

with warnings.catch_warnings():  # minihack 1.0.2 imports the deprecated pkg_resources
    warnings.simplefilter("ignore", UserWarning)
    import minihack  # noqa: F401  registers the levels

_NAME_OF_KEY = {
    CompassDirection.N: "north",
    CompassDirection.NE: "northeast",
    CompassDirection.E: "east",
    CompassDirection.SE: "southeast",
    CompassDirection.S: "south",
    CompassDirection.SW: "southwest",
    CompassDirection.W: "west",
    CompassDirection.NW: "northwest",
    Command.PICKUP: "pick_up",
    Command.APPLY: "apply",
}
ACTION_NAMES = tuple(_NAME_OF_KEY.values())  # a level offers some of them; its other keys stay out of reach
_NO_LIMIT = 2**62


class Frame(NamedTuple):
    """The engine's buffers after a reset or step; valid until the next one."""

    glyphs: np.ndarray  # int16 (21, 79)
    chars: np.ndarray  # uint8 (21, 79)
    message: np.ndarray  # uint8 (256,), zero-terminated
    blstats: np.ndarray  # int64 (27,), see NLE's NLE_BL_*
    inv_strs: np.ndarray  # uint8 (55, 80), zero-terminated rows
    inv_letters: np.ndarray  # uint8 (55,)
    screen_descriptions: np.ndarray  # uint8 (21, 79, 80), zero-terminated


def level_ids() -> tuple[str, ...]:
    """All registered MiniHack level ids, sorted; a few need packages or files of their own."""
    return tuple(sorted(name for name in gymnasium.registry if name.startswith("MiniHack-")))


class Game:
    """One engine instance that plays one level id, over and over, with any seed."""

    def __init__(self, level: str) -> None:
        self._env = _build(level)
        keys = list(self._env.actions)
        self._index = {name: keys.index(key) for key, name in _NAME_OF_KEY.items() if key in keys}
        self.actions: tuple[str, ...] = tuple(self._index)

    def reset(self, seed: int) -> Frame:
        self._env.seed(core=seed, disp=seed, reseed=False, lgen=seed)
        return Frame(**self._env.reset()[0])

    def step(self, action: str) -> tuple[Frame, Outcome | None]:
        """Play one of `actions`. The outcome is None while the game goes on."""
        observation, _, ended, _, info = self._env.step(self._index[action])
        if not ended:
            return Frame(**observation), None
        won = info["end_status"] == self._env.StepStatus.TASK_SUCCESSFUL
        return Frame(**observation), Outcome.SUCCESS if won else Outcome.DEATH

    def close(self) -> None:
        self._env.close()


def _build(level: str) -> gymnasium.Env:
    known = level_ids()
    if level not in known:
        near = difflib.get_close_matches(level, known, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "`crl envs` lists them all"
        raise EnvError(f"level = {level!r}: no such MiniHack level. Remedy: {hint}")
    spec = gymnasium.spec(level)
    try:
        create = load_env_creator(spec.entry_point)
        return create(**spec.kwargs, observation_keys=Frame._fields, max_episode_steps=_NO_LIMIT, fix_moon_phase=True)
    except ImportError as error:
        raise EnvUnavailable(
            f"level = {level!r}: this machine lacks what the level needs ({error}). Remedy: install it, or choose another "
            "level; `crl envs` lists them all"
        ) from error
    except (TypeError, AttributeError, OSError) as error:
        raise EnvError(
            f"level = {level!r}: the engine cannot build it ({error}). Remedy: choose another; "
            "`crl envs` lists them all"
        ) from error
