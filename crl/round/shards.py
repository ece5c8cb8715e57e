"""A rollout shard as a value: all that another process needs to play it, and all that comes back.

The run's process (the head) keeps the models that learn and the bank's ledger. Whoever plays a shard reads the bank
as it was when the round began, and its showings are counted by the head when the shard comes back: a shard that was
lost half-way and played again is counted once.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from crl.actor.gate import TaskRecord
from crl.bank.effect import Belief
from crl.bank.records import Shown
from crl.bank.snapshot import FILE_NAME
from crl.bank.stores import store_class
from crl.config import Config
from crl.episode.plan import RoundPlan, Shard
from crl.round.parts import Parts
from crl.types import Episode, EpisodeFailure


@dataclass(frozen=True, slots=True)
class Home:
    """What stays the same for a whole run. Folders are absolute, and the same wherever shards are played."""

    config: Config
    run_id: str
    root: str  # the checkout: paths in parameters are relative to it
    models: Mapping[str, str]  # role -> folder of the base model: its tokenizer and chat format


@dataclass(frozen=True, slots=True)
class ShardOrder:
    """One shard of one round."""

    shard: Shard
    live: int  # episodes at once
    warming_up: bool
    records: Mapping[str, TaskRecord]  # what the gate is told
    versions: Mapping[str, int]  # role -> version of the weights that the servers had when the order was made
    snapshot: bytes | None  # the bank as Parquet; None: it is warming up, or read from its store
    beliefs: Mapping[str, Belief]  # of the entries' effects, for who reads the bank from its store


@dataclass(frozen=True, slots=True)
class ShardResult:
    ends: tuple[Episode | EpisodeFailure, ...]
    shown: tuple[Shown, ...] = ()
    busy_s: Mapping[str, float] = field(default_factory=dict)  # by span: "generate", "retrieve"
    retrieved: Mapping[str, float] = field(default_factory=dict)  # `retrieve/*` of this shard
    place: str = ""  # the node that played it


PlayShard = Callable[[Home, ShardOrder], Awaitable[ShardResult]]


class ShardsElsewhere:
    """Has shards played elsewhere: writes the orders, and accounts for what comes back."""

    def __init__(self, play: PlayShard, parts: Parts) -> None:
        self._play, self._parts = play, parts
        models = {learner.role: str(Path(learner.source).resolve()) for learner in (parts.actor, parts.extractor)}
        self._home = Home(parts.config, parts.run_id, str(Path.cwd()), models)
        self._snapshot: tuple[int, bytes] | None = None  # of one round: its shards share it
        self._retrieved: list[Mapping[str, float]] = []
        self.places: set[str] = set()  # of this round
        self.busy_s = {"generate": 0.0, "retrieve": 0.0}  # so far, over all places

    async def rollout(
        self, plan: RoundPlan, shard: Shard, records: Mapping[str, TaskRecord]
    ) -> tuple[Episode | EpisodeFailure, ...]:
        """How each of the shard's episodes ended, in the order of its specs."""
        result = await self._play(self._home, self._order(plan, shard, records))
        self._parts.bank.count_shown(result.shown)
        self._retrieved.append(result.retrieved)
        self.places.add(result.place)
        for span, seconds in result.busy_s.items():
            self.busy_s[span] += seconds
        return result.ends

    def metrics(self, here: Mapping[str, float]) -> dict[str, float]:
        """Retrieval here and elsewhere, and how many nodes played, since the last call."""
        rows, places = [here, *self._retrieved], self.places
        self._retrieved, self.places = [], set()
        return together(rows) | {"rollout/nodes": float(len(places))}

    def _order(self, plan: RoundPlan, shard: Shard, records: Mapping[str, TaskRecord]) -> ShardOrder:
        parts, snapshot, beliefs = self._parts, None, {}
        versions = {learner.role: learner.engine.version for learner in (parts.actor, parts.extractor)}
        if not plan.warming_up and store_class(parts.config.bank.index).remote:
            beliefs = {entry.id: parts.bank.belief(entry.id) for entry in parts.bank.entries()}
        elif not plan.warming_up:
            snapshot = self._snapshot_of(plan.round)
        live = live_per_shard(plan, parts.config)
        return ShardOrder(shard, live, plan.warming_up, dict(records), versions, snapshot, beliefs)

    def _snapshot_of(self, round_: int) -> bytes:
        if self._snapshot is None or self._snapshot[0] != round_:
            with TemporaryDirectory(prefix="crl-bank-") as folder:
                self._parts.bank.snapshot(Path(folder))
                self._snapshot = round_, (Path(folder) / FILE_NAME).read_bytes()
        return self._snapshot[1]


def live_per_shard(plan: RoundPlan, config: Config) -> int:
    """Episodes that one shard plays at once."""
    return max(1, config.rollout.live_episodes // len(plan.shards))


def together(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """`retrieve/*` of several retrievers as of one: sums, except for the batch size, a mean over all batches."""
    rows = [row for row in rows if row]
    total = {name: sum(row[name] for row in rows) for name in rows[0]}
    batches = sum(row["retrieve/queries"] / row["retrieve/batch_size"] for row in rows if row["retrieve/batch_size"])
    return total | {"retrieve/batch_size": total["retrieve/queries"] / max(1.0, batches)}
