"""Shared by the Sokoban tests: tasks, random play, and an independent Sokoban of sets and coordinates as the oracle."""

from collections import deque

from crl.envs.sokoban.board import ACTIONS, Board, parse
from crl.seeding import stream
from crl.types import Task

STEPS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}


def task(level: str = "6x6-2", seed: int = 0, max_steps: int = 30, payload: str = "", split: str = "train") -> Task:
    return Task(f"{level}/{split}/{seed}", "test", "sokoban", level, seed, max_steps, split, payload)


def board(*rows: str) -> Board:
    return parse("\n".join(rows))


def random_play(start: Board, seed: int, moves: int = 60) -> list[tuple[Board, str, Board]]:
    """(before, action, after) of random moves."""
    rng, played = stream("play", seed), []
    for _ in range(moves):
        action = ACTIONS[int(rng.integers(4))]
        played.append((start, action, start.after(action)))
        start = played[-1][2]
    return played


def things(text: str) -> tuple[set, set, frozenset, tuple]:
    """Walls, targets, boxes and the player of a board's text, as (row, column)."""
    found = {(r, c): symbol for r, row in enumerate(text.splitlines()) for c, symbol in enumerate(row)}
    at = {name: {cell for cell, symbol in found.items() if symbol in name} for name in ("W", "GC@", "BC", "A@")}
    (player,) = at["A@"]
    return at["W"], at["GC@"], frozenset(at["BC"]), player


def shortest(text: str) -> int | None:
    """The length of a shortest solution by plain breadth-first search, or None."""
    walls, targets, boxes, player = things(text)
    queue, seen = deque([(0, player, boxes)]), {(player, boxes)}
    while queue:
        moves, player, boxes = queue.popleft()
        if boxes == targets:
            return moves
        for row, column in STEPS.values():
            to, beyond = (player[0] + row, player[1] + column), (player[0] + 2 * row, player[1] + 2 * column)
            pushed = boxes - {to} | {beyond} if to in boxes else boxes
            if to in walls or (to in boxes and (beyond in walls or beyond in boxes)) or (to, pushed) in seen:
                continue
            seen.add((to, pushed))
            queue.append((moves + 1, to, pushed))
    return None


def images(text: str) -> set[str]:
    """A board's text under the eight rotations and mirror images."""
    rows, found = text.splitlines(), set()
    for _ in range(4):
        rows = ["".join(column) for column in zip(*rows[::-1], strict=True)]  # a quarter turn
        found |= {"\n".join(rows), "\n".join(row[::-1] for row in rows)}
    return found
