"""Plays shards away from the run's process: environments, tokenizers and clients of the servers, kept between shards.

Nothing here learns or writes to the ledger. See `crl.round.shards` for what goes in and comes back.
"""

import asyncio
import os
from functools import partial
from pathlib import Path
from tempfile import gettempdir

import torch

from crl.bank.retrieval import Retriever
from crl.bank.snapshot_reader import SnapshotReader
from crl.bank.stores import NodeReader, open_store
from crl.config.addresses import addresses
from crl.embedding.open import open_embedder
from crl.embedding.protocol import CachedEmbedder
from crl.engine.kinds import Opening
from crl.engine.vllm.server import Follower
from crl.envs.hosting.pool import EnvPool
from crl.episode.many import play_all
from crl.episode.player import Player
from crl.errors import ConfigError
from crl.models.chat import ChatFormat
from crl.models.resolve import load_tokenizer, stops_in, vocabulary_in
from crl.round.shards import Home, ShardOrder, ShardResult


class ShardPlayer:
    """One process's means to play shards of one run. One shard at a time."""

    def __init__(self, home: Home) -> None:
        """Raises ConfigError when the run's folders are not on this machine."""
        _enter(home)
        config = home.config
        torch.set_num_threads(config.run.torch_threads)
        self.home = home
        self._runner = asyncio.Runner()  # one event loop for its whole life: clients belong to theirs
        self._models = {role: _follower(home, role) for role in home.models}
        self._embedder: CachedEmbedder | None = None
        self._pool = EnvPool(config.envs)

    def play(self, order: ShardOrder) -> ShardResult:
        """Play a shard to its end; episodes that infrastructure loses are tried again here first."""
        return self._runner.run(self._play(order))

    def close(self) -> None:
        self._pool.close()
        for engine, _ in self._models.values():
            engine.close()
        self._runner.close()

    async def _play(self, order: ShardOrder) -> ShardResult:
        for role, version in order.versions.items():
            self._models[role][0].follow(version)
        engine, chat = self._models["actor"]
        config, before_s = self.home.config, engine.busy_s
        open_player = partial(Player, config, self.home.run_id, engine, chat, self._pool)
        if order.warming_up:
            ends = await play_all(open_player(), order.shard.specs, live=order.live)
            return ShardResult(tuple(ends), busy_s={"generate": engine.busy_s - before_s})
        bank = self._read_side(order)
        retriever = Retriever(bank, config.retrieval, self._embedder, seed=config.run.seed)
        try:
            player = open_player(
                retriever=retriever, records=order.records, expert=self._models["extractor"], guidance=config.actor.guidance
            )  # fmt: skip
            ends = await play_all(player, order.shard.specs, live=order.live)
            await retriever.drain()
        finally:
            retriever.close()
            bank.close()
        busy_s = {"generate": engine.busy_s - before_s, "retrieve": retriever.busy_s}
        return ShardResult(tuple(ends), tuple(bank.shown), busy_s, retriever.metrics())

    def _read_side(self, order: ShardOrder) -> NodeReader:
        config = self.home.config
        if self._embedder is None:  # not before the bank has warmed up
            embedder = open_embedder(config, "auto")  # a node may have no GPU where the head has one
            self._embedder = CachedEmbedder(embedder, config.retrieval.cache_entries)
        if order.snapshot is not None:
            return SnapshotReader(order.snapshot, self._embedder.name)
        folder = Path(gettempdir())  # a node's store keeps nothing
        reader = open_store(config.bank, config.servers, run_id=self.home.run_id, folder=folder).reader()
        reader.learn(order.beliefs)
        return reader


def _follower(home: Home, role: str) -> tuple[Follower, ChatFormat]:
    """A client of the servers that the head keeps up to date, and the chat format of the base model's folder."""
    config, folder = home.config, Path(home.models[role])
    tokenizer = load_tokenizer(folder)
    chat = ChatFormat(tokenizer, stops_in(folder), config.role(role).model.template_arguments)
    opening = Opening(
        role=role, source=str(folder), model=None, tokenizer=tokenizer, end_ids=chat.end_ids,
        vocabulary=vocabulary_in(folder), sessions=config.rollout.live_episodes, settings=config.role(role).model,
        engine=config.engine, device=config.run.device, urls=addresses(config.servers).of_models[role],
        lora=config.role(role).learn.adapter,
    )  # fmt: skip
    return Follower(opening), chat


def _enter(home: Home) -> None:
    """Relative paths in parameters then mean here what they mean at the head."""
    for folder in (home.root, *home.models.values()):
        if not Path(folder).is_dir():
            raise ConfigError(
                f"{folder}: no such folder on {os.uname().nodename}. Remedy: nodes need the checkout and the base models under "
                "the same paths as the head: share them, e.g. by NFS"
            )
    os.chdir(home.root)
