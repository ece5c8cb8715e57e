"""How a round's units of work are run and its episodes inspected: the plain ways, and what a flow puts in their place."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TypeVar

from crl.types import Episode, EpisodeFailure

T = TypeVar("T")
Runner = Callable[[str, Callable[[], Awaitable[T]]], Coroutine[None, None, T]]
Inspect = Callable[[int, Sequence[Episode | EpisodeFailure]], Awaitable[None]]


async def let_all_pass(round_: int, ends: Sequence[Episode | EpisodeFailure]) -> None:
    """Inspects nothing; the flow's inspection raises on data that must not be learned from."""


async def plain_runner(name: str, unit: Callable[[], Awaitable[T]]) -> T:
    """Runs a unit of work as it is; the flow's runner makes a task run of it."""
    return await unit()
