"""Sokoban as a text environment: own rules, boards from the task's payload or seed."""

from collections.abc import Iterator

from crl.envs.contract import Observation, StepResult
from crl.envs.errors import EnvError, not_running
from crl.envs.family import TaskRequest
from crl.envs.sokoban import grid
from crl.envs.sokoban.board import ACTIONS, Board, parse
from crl.envs.sokoban.generator import SPLITS, canonical, generate, spec_of
from crl.envs.sokoban.solver import solve
from crl.errors import ConfigError
from crl.types import Outcome, Task

_FRUITLESS_SEEDS = 2000  # in a row, and the level's boards count as exhausted


class SokobanEnv:
    """A `TextEnv` over Sokoban. For wrappers: `board` is the running episode's position."""

    levels = ("6x6-2", "6x6-1", "6x6-2-max8", "7x7-2")
    board: Board

    def __init__(self) -> None:
        self._task: Task | None = None  # None: no episode is running

    @classmethod
    def task_set(cls, request: TaskRequest) -> Iterator[Task]:
        """Boards of the split that can be solved within the step limit, no two alike under rotation and mirroring."""
        if request.source is not None:
            raise ConfigError(
                f"tasks.mix.{request.name}.source = {request.source!r}: Sokoban generates its boards. Remedy: remove it"
            )
        spec, seen, seed, last = spec_of(request.level), set(), request.first_seed, request.first_seed
        while len(seen) < request.count and seed - last <= _FRUITLESS_SEEDS:
            board = generate(request.level, seed, request.split)
            key, moves = canonical(str(board)), len(solve(board))
            if key not in seen and moves <= request.max_steps:
                seen.add(key)
                last = seed
                yield request.task(seed, payload=str(board), goal=grid.goal(spec.boxes), difficulty=float(moves))
            seed += 1

    @classmethod
    def solution(cls, task: Task) -> tuple[str, ...]:
        """A shortest solution. Raises EnvError for a board that has none."""
        actions = solve(_board(task))
        if actions is None:
            raise EnvError(f"task {task.id}: its board cannot be solved. Remedy: correct the payload {task.payload!r}")
        return actions

    def reset(self, task: Task) -> Observation:
        self._task = None  # a board that cannot be built leaves no episode behind
        self.board = _board(task)
        self._task = task
        self._steps = 0
        self._message = grid.START
        boxes = self.board.boxes.bit_count()
        return Observation(
            text=self._text(),
            goal=grid.goal(boxes),
            actions=ACTIONS,
            manual=grid.manual(boxes, task.max_steps),
        )

    def step(self, action: str) -> StepResult:
        if self._task is None:
            raise not_running(action)
        if action not in ACTIONS:
            refusal = f"{action[:40]!r} is not an action here; the world did not move.\n{self._text()}"
            return StepResult.refused(Observation(refusal, actions=ACTIONS))
        before, self.board = self.board, self.board.after(action)
        self._steps += 1
        self._message = grid.feedback(before, self.board, action)
        result = StepResult.after(
            Observation(self._text(), actions=ACTIONS),
            Outcome.SUCCESS if self.board.solved else None,
            late=self._steps >= self._task.max_steps,
            moved=self.board is not before,
            pushed=self.board.boxes != before.boxes,
            boxes_on_targets=self.board.placed,
        )
        if result.done:
            self._task = None
        return result

    def close(self) -> None:
        self._task = None

    def _text(self) -> str:
        return grid.describe(self.board, self._message, self._steps, self._task.max_steps)


def _board(task: Task) -> Board:
    """The task's instance: its payload, else what the seed generates."""
    spec = spec_of(task.level)
    if not task.payload:
        if task.split not in SPLITS:
            raise EnvError(f"task {task.id}: split = {task.split!r}. Remedy: use one of {', '.join(SPLITS)}")
        return generate(task.level, task.seed, task.split)
    board = parse(task.payload)
    if (board.width, board.height, board.boxes.bit_count()) != (spec.width, spec.height, spec.boxes):
        raise EnvError(
            f"task {task.id}: its board {task.payload!r} is not of level {task.level}. Remedy: correct either"
        )
    return board
