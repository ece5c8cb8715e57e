"""A second client of servers whose weights another process looks after: it generates, and never loads anything.

The head's engine publishes weights and brings servers that were lost up to date. A follower that loaded as well could
put older weights over newer ones, and N nodes would load everything N times.
"""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from crl.config.addresses import secret
from crl.config.servers import EngineConfig
from crl.engine.vllm.fleet import PROBE_S, Fleet, Member, Weights
from crl.engine.vllm.http import VllmServer
from crl.engine.vllm.server import ServerEngine
from crl.errors import EngineError

# A server that comes back is asked again only after the head, which probes as often, has begun to load its weights;
# what is asked meanwhile waits behind that load.
GRACE_S = 5 * PROBE_S


class FollowingFleet(Fleet):
    """Servers as they are."""

    async def _equip(self, member: Member) -> None:
        if member.lost.is_set():
            await asyncio.sleep(GRACE_S)
        await self._greet(member)
        member.holds = self.newest

    async def follow(self, weights: Weights) -> None:
        """From now on completions bear this version."""
        self.newest = weights
        for member in self._members:
            if member.up:
                member.holds = weights


class Follower(ServerEngine):
    """An engine on servers that another process keeps up to date.

    A completion's version is the one that was last followed: where the head publishes meanwhile, it is the older one,
    as everywhere (the version of the weights at a request's start, or before).
    """

    def __init__(
        self,
        urls: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        *,
        vocabulary: int,
        end_ids: Iterable[int],
        context_tokens: int,
        config: EngineConfig,
        name: str,
    ) -> None:
        super().__init__(
            urls, tokenizer, shapes={}, vocabulary=vocabulary, end_ids=end_ids,
            context_tokens=context_tokens, config=config, weights=Weights(Path(), 0), name=name,
        )  # fmt: skip

    def follow(self, version: int) -> None:
        """Tell which version the servers have now."""
        self._run(self._fleet.follow(Weights(Path(), version)))

    def load_weights(self, state: dict[str, torch.Tensor], version: int) -> float:
        raise EngineError("a follower loads no weights. Remedy: publish them from the head's engine")

    async def _open(self, urls: Sequence[str], weights: Weights, config: EngineConfig) -> Fleet:
        servers = [VllmServer(url, secret("VLLM_API_KEY"), config.request_timeout_s) for url in urls]
        return FollowingFleet(servers, weights, self._context_tokens, config.health_wait_s)
