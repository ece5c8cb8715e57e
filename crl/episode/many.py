"""Many episodes at once: retries of what infrastructure loses, and how much of it a run bears.

An episode that infrastructure loses becomes an `EpisodeFailure`: it is retried, never scored.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import nullcontext

from crl.concurrency import task_group
from crl.episode.loop import play
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.errors import CrlError, RunStopped
from crl.types import Episode, EpisodeFailure, FailureCause

End = Episode | EpisodeFailure
FIRST_PAUSE_S = 0.5  # before an episode is played again; five times as long before the next try


async def play_with_retries(player: Player, spec: EpisodeSpec) -> End:
    """Play; an episode lost to infrastructure is tried again from its start, with the same random streams.

    Raises errors without a cause: no infrastructure lost the episode, so playing it again would not help.
    """
    rollout = player.config.rollout
    for attempt in range(1, rollout.attempts + 1):
        try:
            async with asyncio.timeout(rollout.episode_timeout_s):
                return await play(player, spec)
        except (CrlError, TimeoutError) as error:
            cause = error.cause if isinstance(error, CrlError) else FailureCause.EPISODE_TIMEOUT
            if cause is None:
                raise
            failure = EpisodeFailure(spec.key, spec.task, spec.guided, cause, str(error), attempt)
            if attempt < rollout.attempts:
                await asyncio.sleep(FIRST_PAUSE_S * 5 ** (attempt - 1))  # an engine that restarts needs a moment
    return failure


async def play_all(
    player: Player,
    specs: Iterable[EpisodeSpec],
    *,
    live: int,
    joined: Callable[[], None] | None = None,
) -> list[End]:
    """Play many episodes, `live` at a time; results in the order of the specs.

    Args:
        joined: called once all workers take part in the turnstile (lockstep): whoever held the gate shut for them
            can let go
    """
    specs = list(specs)
    queue = iter(enumerate(specs))
    ends: dict[int, End] = {}

    async def worker() -> None:
        # The worker, not the episode, is the participant: when one ends, the next begins in the same wave.
        with player.turnstile.participant() if player.turnstile else nullcontext():
            for position, spec in queue:
                ends[position] = await play_with_retries(player, spec)
                for spectator in player.spectators:
                    spectator.ended(ends[position])

    async with task_group() as workers:
        for _ in range(min(live, len(specs))):
            workers.create_task(worker())
        if joined:
            await asyncio.sleep(0)  # every worker has run up to its first wait
            joined()
    return [ends[position] for position in range(len(specs))]


def stop_if_too_many_failed(ends: Iterable[End], limit: float) -> None:
    """Raises RunStopped past the failure budget: results would be about the infrastructure, not the models."""
    ends = list(ends)
    failures = [end for end in ends if isinstance(end, EpisodeFailure)]
    if len(failures) > limit * len(ends):
        causes = ", ".join(sorted({f"{failure.cause}: {failure.detail}" for failure in failures})[:3])
        raise RunStopped(
            f"{len(failures)} of {len(ends)} episodes failed (rollout.max_failed_share = {limit}); {causes}. "
            "Remedy: mend the cause and run the same command; it resumes from the last round"
        )
