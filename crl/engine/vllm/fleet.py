"""One or many servers of the same model: who is asked, who is left out, and who holds which weights.

Everything here runs on one event loop, the engine's own. A server is asked only while it holds the newest weights: one
that was lost, or was never seen, is brought up to date first.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crl.concurrency import run_all
from crl.engine.vllm.http import ServerGone, VllmServer
from crl.errors import EngineError

PROBE_S = 1.0
# A server that comes back is asked again only after the process that loads its weights, which probes as often, has begun
# to; what is asked meanwhile waits behind that load.
_GRACE_S = 5 * PROBE_S
_MISSES = 3  # unanswered probes in a row after which a server counts as hanging


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights on the disk that this process and the servers share."""

    folder: Path | None  # None: another process has the servers load them
    version: int
    adapter: str | None = None  # the name that requests ask for; None: they are a whole model's
    base: Path | None = None  # what an adapter stands beside


@dataclass(eq=False)
class Member:
    """A server as the fleet sees it."""

    server: VllmServer
    up: bool = False
    tempered: bool = False
    holds: Weights | None = None
    why: str = "was not asked yet"  # not up
    misses: int = 0
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Fleet:
    """Round robin over the servers that are up; the others are probed until they return."""

    def __init__(self, servers: Sequence[VllmServer], weights: Weights, context_tokens: int, wait_s: float) -> None:
        self.newest = weights
        self._members = [Member(server) for server in servers]
        self._context_tokens, self._wait_s = context_tokens, wait_s
        self._turn = 0
        self._changed = asyncio.Condition()
        self._watching = asyncio.create_task(self._watch())
        self._refusal: EngineError | None = None  # of a server that answers but can never serve us

    async def pick(self, preferred: Member | None = None) -> Member:
        """The preferred server while it is up, else the next that is. Raises EngineError after the longest wait."""
        if preferred is not None and preferred.up:
            return preferred
        await self._wait(lambda: any(member.up for member in self._members))
        up = [member for member in self._members if member.up]
        self._turn += 1
        return up[self._turn % len(up)]

    def lose(self, member: Member, why: str) -> None:
        """Leave a server out until it answers again; requests that wait for it are woken."""
        if member.up:
            member.up, member.why, member.holds = False, why, None
            member.lost.set()

    async def publish(self, weights: Weights) -> None:
        """Load new weights into every server. Raises EngineError if none takes them within the longest wait."""
        await self.follow(weights)
        await self._wait(lambda: any(member.up and member.holds == weights for member in self._members))

    async def follow(self, weights: Weights) -> None:
        """As `publish`, for those servers that are up now, be it none."""
        self.newest = weights
        await run_all(self._renew(member) for member in self._members if member.up)

    async def close(self) -> None:
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching
        for member in self._members:
            await member.server.close()

    async def _wait(self, condition: Callable[[], bool]) -> None:
        try:
            async with self._changed, asyncio.timeout(self._wait_s):
                await self._changed.wait_for(lambda: condition() or self._refusal)
        except TimeoutError:
            faults = "; ".join(member.why for member in self._members if not member.up)
            raise EngineError(
                f"no server answered within engine.health_wait_s = {self._wait_s}: {faults}. Remedy: start one, "
                "or check servers.actor, servers.extractor"
            ) from None
        if not condition():
            raise self._refusal

    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            await run_all(self._probe(member) for member in self._members)
            await asyncio.sleep(max(0.0, PROBE_S - (time.monotonic() - began)))

    async def _probe(self, member: Member) -> None:
        if await member.server.healthy():
            member.misses = 0
            if not member.up:
                await self._renew(member)
            return
        member.misses += 1
        if not member.up:
            member.why = f"{member.server.url} does not answer"
        elif member.misses >= _MISSES:
            self.lose(member, f"{member.server.url} stopped answering")

    async def _renew(self, member: Member) -> None:
        """Give a server the newest weights, and let it serve."""
        async with member.loading:
            try:
                await self._equip(member)
            except ServerGone as gone:
                self.lose(member, str(gone))
                member.why = str(gone)
                return
            except EngineError as refusal:
                self._refusal = refusal
            else:
                member.up = True
                member.lost.clear()
        async with self._changed:
            self._changed.notify_all()

    async def _equip(self, member: Member) -> None:
        """Until it holds the newest weights. Raises ServerGone or EngineError."""
        if not member.up:
            if self.newest.folder is None and member.lost.is_set():
                await asyncio.sleep(_GRACE_S)
            await self._greet(member)
        while member.holds != self.newest:
            weights = self.newest
            if weights.folder is not None:
                await self._load(member, weights)
            member.holds = weights

    async def _load(self, member: Member, weights: Weights) -> None:
        if weights.adapter is None:
            await member.server.load(weights.folder)
            return
        if member.holds is None or member.holds.base != weights.base:
            await member.server.load(weights.base)
        await member.server.load_adapter(weights.adapter, weights.folder)

    async def _greet(self, member: Member) -> None:
        served = await member.server.context_tokens()
        if served < self._context_tokens:
            raise EngineError(
                f"{member.server.url} serves contexts of {served} tokens, context_tokens = {self._context_tokens}. "
                f"Remedy: start it with --max-model-len={self._context_tokens}, or lower context_tokens"
            )
        member.tempered = await member.server.temper()
