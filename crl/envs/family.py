"""What an environment family may offer besides playing: task sets, scripted play, proofs of solvability.

All of it is optional, as class attributes of the family's `TextEnv`:

    levels    tuple of the level names that `crl envs` lists and checks
    task_set  classmethod (TaskRequest) -> Iterable[Task]: the instances of a split, lazily; without it they are the
              seeds from `first_seed` on
    solution  classmethod (Task) -> tuple[str, ...]: actions of the `grid` style that solve the task: the oracle
    oracle    classmethod (Task) -> str: the advice that who knows the truth would give, in the form in which the extractor
              writes it: the upper bound of what experience is worth
    script    classmethod (level) -> crl.tiny.scripts.script.Script: scripted play, which warm-starts tiny models
    scripted_attempt  classmethod (Task, seed, skill) -> tuple[str, ...]: actions of one attempt of the pass@k stage's
              scripted policy, right more often with more skill (0 to 1)
    forms     tuple of the free forms that its own text offers in some turn ("search[{}]"): its actions cannot all be listed, and
              actor.replies: legal is refused with it
    leave     method: frees what an episode holds (a container), when it is given up before its end

and as parameters of its constructor, by these names:

    observation  the style that was asked for, for a family with more than one text of its own
    sandbox      SandboxConfig: the settings of its containers
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

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

    def __getitem__(self, index: int | slice) -> Task | Sequence[Task]:
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
