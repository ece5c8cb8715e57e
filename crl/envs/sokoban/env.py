"""Sokoban as a text environment: own rules, boards from the task's payload or seed, two text styles."""

from collections.abc import Iterator

from crl.envs.contract import Observation, StepResult
from crl.envs.family import SkillScript, TaskRequest
from crl.envs.sokoban import grid, scripted
from crl.envs.sokoban.board import ACTIONS, Board, parse
from crl.envs.sokoban.generator import SPLITS, canonical, generate, kind_of
from crl.envs.sokoban.solver import solve
from crl.errors import ConfigError, EnvError
from crl.tiny.slots import sokoban as slots
from crl.types import Outcome, Task

_FRUITLESS_SEEDS = 2000  # in a row, and the level's boards count as exhausted


class SokobanEnv:
    """A `TextEnv` over Sokoban. `observation` is "slots" (tiny models) or "grid" (models that read)."""

    levels = ("6x6-2", "6x6-1", "6x6-2-max8", "7x7-2")

    def __init__(self, observation: str) -> None:
        self._style = observation
        self._task: Task | None = None  # None: no episode is running

    @classmethod
    def task_set(cls, request: TaskRequest) -> Iterator[Task]:
        """Boards of the split that can be solved within the step limit, no two alike under rotation and mirroring."""
        if request.source is not None:
            raise ConfigError(
                f"tasks.mix.{request.name}.source = {request.source!r}: Sokoban generates its boards. Remedy: remove it"
            )
        kind, seen, seed, last = kind_of(request.level), set(), request.first_seed, request.first_seed
        while len(seen) < request.count and seed - last <= _FRUITLESS_SEEDS:
            board = generate(request.level, seed, request.split)
            key, moves = canonical(str(board)), len(solve(board))
            if key not in seen and moves <= request.max_steps:
                seen.add(key)
                last = seed
                yield request.task(seed, payload=str(board), goal=grid.goal(kind.boxes), difficulty=float(moves))
            seed += 1

    @classmethod
    def solution(cls, task: Task) -> tuple[str, ...]:
        """A shortest solution. Raises EnvError for a board that has none."""
        actions = solve(_board(task))
        if actions is None:
            raise EnvError(f"task {task.id}: its board cannot be solved. Remedy: correct the payload {task.payload!r}")
        return actions

    @classmethod
    def script(cls, level: str) -> SkillScript:
        kind_of(level)  # refuses unknown names
        return scripted.script()

    def reset(self, task: Task) -> Observation:
        self._task = None  # a board that cannot be built leaves no episode behind
        self._board = _board(task)
        self._task = task
        self._steps = 0
        self._message, self._still = grid.START, False
        boxes = self._board.boxes.bit_count()
        return Observation(
            text=self._text(),
            goal=scripted.SHORT_GOAL if self._style == "slots" else grid.goal(boxes),
            actions=ACTIONS,
            manual=grid.manual(boxes, task.max_steps),
        )

    def step(self, action: str) -> StepResult:
        if self._task is None:
            raise EnvError(f"step({action!r}) without a running episode. Remedy: call reset(task) first")
        if action not in ACTIONS:
            return StepResult(self._refusal(action), 0.0, terminated=False, truncated=False, valid=False)
        before, self._board = self._board, self._board.after(action)
        self._steps += 1
        self._message, self._still = grid.feedback(before, self._board, action), self._board is before
        return self._result(pushed=self._board.boxes != before.boxes)

    def close(self) -> None:
        self._task = None

    def _result(self, pushed: bool) -> StepResult:
        solved = self._board.solved
        late = not solved and self._steps >= self._task.max_steps
        text = Outcome.SUCCESS.value if solved and self._style == "slots" else self._text()
        if solved or late:
            self._task = None
        return StepResult(
            Observation(text, actions=ACTIONS),
            reward=float(solved),
            terminated=solved,
            truncated=late,
            outcome=Outcome.SUCCESS if solved else Outcome.TIMEOUT if late else None,
            info={"moved": not self._still, "pushed": pushed, "boxes_on_targets": self._board.placed},
        )

    def _text(self) -> str:
        if self._style == "slots":
            return slots.describe(self._board, self._still)
        return grid.describe(self._board, self._message, self._steps, self._task.max_steps)

    def _refusal(self, action: str) -> Observation:
        """The same text again; the slots style leaves the feedback to `valid` and the prompt."""
        text = self._text()
        if self._style == "grid":
            text = f"{action[:40]!r} is not an action here; the world did not move.\n{text}"
        return Observation(text, actions=ACTIONS)


def _board(task: Task) -> Board:
    """The task's instance: its payload, else what the seed generates."""
    kind = kind_of(task.level)
    if not task.payload:
        if task.split not in SPLITS:
            raise EnvError(f"task {task.id}: split = {task.split!r}. Remedy: use one of {', '.join(SPLITS)}")
        return generate(task.level, task.seed, task.split)
    board = parse(task.payload)
    if (board.width, board.height, board.boxes.bit_count()) != (kind.width, kind.height, kind.boxes):
        raise EnvError(
            f"task {task.id}: its board {task.payload!r} is not of level {task.level}. Remedy: correct either"
        )
    return board
