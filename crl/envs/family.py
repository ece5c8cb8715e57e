"""What an environment family may offer besides playing: task sets, scripted play, proofs of solvability.

All of it is optional, as class attributes of the family's `TextEnv`:

    levels    tuple of the level names that `crl envs` lists and checks
    task_set  classmethod (TaskRequest) -> Iterable[Task]: the instances of a split, lazily; without it they are the
              seeds from `first_seed` on
    solution  classmethod (Task) -> tuple[str, ...]: actions of the "grid" style that solve the task: the oracle
    script    classmethod (level) -> Script: scripted play in the "slots" style, which warm-starts tiny models
    scripted_attempt  classmethod (Task, seed, skill) -> tuple[str, ...]: actions of one attempt of the pass@k stage's
              scripted policy, right more often with more skill (0 to 1)
    leave     method: frees what an episode holds (a container), when it is given up before its end
    sandboxed True when the constructor takes (observation, SandboxConfig) rather than (observation)
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, overload

import numpy as np

from crl.envs.contract import Observation
from crl.errors import ConfigError
from crl.types import Task


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """Which instances a mix entry asks of its family. Splits never share an instance."""

    name: str
    family: str
    level: str
    split: str  # "train" | "eval"
    max_steps: int
    count: int  # at most so many; a finite set may yield fewer
    first_seed: int  # of this split; the splits' ranges do not meet
    source: str | None = None  # where a user has the original data: a folder, a file or a hub name

    def task(self, seed: int, *, payload: str = "", goal: str = "", difficulty: float | None = None) -> Task:
        """One row of the task set."""
        return Task(
            f"{self.name}/{self.split}/{seed}", self.name, self.family, self.level, seed, self.max_steps, self.split,
            payload, goal, difficulty,
        )  # fmt: skip


class TaskSequence(Sequence[Task]):
    """Tasks that are made when asked for."""

    @abstractmethod
    def task_at(self, index: int) -> Task:
        """The task at a place from 0 on."""

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Task]: ...
    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.task_at(index % len(self))


@dataclass(frozen=True)
class SeedTasks(TaskSequence):
    """The instances of a family that needs nothing but a seed."""

    request: TaskRequest
    goal: str = ""

    def __len__(self) -> int:
        return self.request.count

    def task_at(self, index: int) -> Task:
        return self.request.task(self.request.first_seed + index, goal=self.goal)


class ScriptedPlayer(Protocol):
    """Plays one episode from what the "slots" sentences say, and nothing else."""

    def act(self, observation: Observation) -> str:
        """The next action; of the observation only `text` is given: the slots sentence."""
        ...


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to play, and the advice that names it. `start` makes the player of one episode."""

    advice: str
    start: Callable[[np.random.Generator], ScriptedPlayer]


class Script(Protocol):
    """A family's scripted play on one level: skills that help, harm, or do neither, and the words for them."""

    words: tuple[str, ...]  # every word that goals, slots sentences and action names can hold
    goals: tuple[str, ...]  # goal sentences, for the tokenizer's corpus
    actions: tuple[str, ...]  # every action name of the slots style
    best: tuple[str, ...]  # skills that do well, for `crl play`
    spontaneous: tuple[str, ...]  # skills that the base actor shows by itself

    @property
    def phrases(self) -> Mapping[str, str]:
        """Every skill that advice can name -> the words that name it."""
        ...

    def strategies(self, skills: Sequence[str]) -> tuple[Strategy, ...]:
        """The ways to play that the named skills make. Raises ConfigError."""
        ...


def refuse_unknown_skills(skills: Sequence[str], known: Iterable[str], *, needs: str, met: bool) -> None:
    """Raises ConfigError for names that nobody can play, or when what the script needs is not met."""
    known = list(known)
    unknown = [skill for skill in skills if skill not in known]
    if unknown or not met:
        raise ConfigError(
            f"warm_start.skills or .spontaneous = {list(skills)}: unknown {unknown or 'none'}; {needs}. "
            f"Remedy: choose from {', '.join(known)}"
        )


@dataclass(frozen=True, slots=True)
class Skill:
    """One scripted skill: the phrase that advice uses, and the player."""

    phrase: str
    start: Callable[[np.random.Generator], ScriptedPlayer]


@dataclass(frozen=True, slots=True)
class SkillScript:
    """The plain `Script`: each skill is a strategy of its own, the first one the best."""

    words: tuple[str, ...]
    goals: tuple[str, ...]
    actions: tuple[str, ...]
    table: Mapping[str, Skill]
    spontaneous: tuple[str, ...]

    @property
    def best(self) -> tuple[str, ...]:
        return tuple(self.table)[:1]

    @property
    def phrases(self) -> dict[str, str]:
        return {name: skill.phrase for name, skill in self.table.items()}

    def strategies(self, skills: Sequence[str]) -> tuple[Strategy, ...]:
        refuse_unknown_skills(skills, self.table, needs="at least one is needed", met=bool(skills))
        return tuple(Strategy(self.table[skill].phrase, self.table[skill].start) for skill in skills)
