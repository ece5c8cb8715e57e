"""Learner groups on the nodes of a Ray cluster (`learn.<role>.placed: ray`): the head's side.

    head: LearnerGroup ── CrewOnNodes ── batch, once in Ray's store ──► node: NodeWorker ── Worker ◄── TCP ──► the others
                              ◄── metrics; worker 0's weights, through the store ──

Actors in a placement group: the group is there as a whole or waits, and ends with the head's job, however that ends.
"""

import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from crl.config import Config
from crl.errors import ConfigError, RunStopped
from crl.learn.beats import Silence
from crl.learn.lost import Left, WorkerLost, raise_what_went_wrong
from crl.learn.worker import Opening
from flows.cluster.learner_node import NodeWorker, unpacked
from flows.cluster.ray import NO_NODE_WAIT_S, cpus_per_shard, ray

_LOOK_S = 0.5
_DEATH_WAIT_S = 2.0  # an error of a worker may come of another's death, which is then the one to be told

warnings.filterwarnings("ignore", "The given buffer is not writable")  # Ray's store, which nobody writes into

_Actor = ray.remote(concurrency_groups={"pulse": 1})(NodeWorker)


class CrewOnNodes:
    """`crl.learn.crew.Crew` of actors. Ray puts them on as few nodes as it can."""

    def __init__(self, openings: Sequence[Opening], folder: Path) -> None:
        """Asks Ray for room and for the actors, and waits for none of them; `folder` is the group's own to remove."""
        self._config, self._role = openings[0].config, openings[0].role
        self._names = [f"worker {rank + 1} of {len(openings)}" for rank in range(len(openings))]
        self._gone, self._stood = threading.Event(), dict[int, str]()
        self._dead: str | None = None
        each = bundle(self._config)
        self._room = placement_group([each] * len(openings), strategy="PACK")
        self._actors = [self._actor(rank, each) for rank in range(len(openings))]
        meeting = self._actors[0].meeting.remote()  # Ray gives it to the others when it is known
        self._opened = [
            actor.open.remote(opening, meeting) for actor, opening in zip(self._actors, openings, strict=True)
        ]

    @property
    def pids(self) -> list[int]:
        """Once it is opened."""
        return [pid for _, pid in self._places]

    def opened(self) -> None:
        """As a crew's. Raises RunStopped where the cluster has no room for it in five minutes."""
        until = time.monotonic() + NO_NODE_WAIT_S
        while not self._room.wait(_LOOK_S):
            if self._gone.is_set():
                raise WorkerLost("the group was closed")
            if time.monotonic() > until:
                raise RunStopped(
                    f"{_asked(self._config, self._role)}: no room on the cluster for {NO_NODE_WAIT_S:.0f} s: {nodes_told()}. "
                    "Remedy: bring nodes back or end what holds them (`ray status`), then the same command: it resumes from the "
                    "last round"
                )
        self._places = self._answers(self._opened, "open")
        names = zip(self._names, self._places, strict=True)
        self._names = [f"{name} (process {pid} on {node})" for name, (node, pid) in names]

    def ask(self, method: str, message: memoryview) -> Any:
        stored = ray.put(np.frombuffer(message, dtype=np.uint8))
        return self._answers([actor.ask.remote(stored) for actor in self._actors], method)[0]

    def weights(self) -> dict[str, torch.Tensor]:
        """Tensors in Ray's store, out of which they go with them."""
        return unpacked(self._answers([actor.weights.remote() for actor in self._actors], "weights")[0])

    def killed(self) -> str | None:
        return self._dead

    def watch(self) -> None:
        while not self._room.wait(_LOOK_S):
            if self._gone.is_set():
                return
        silence, asked = Silence(len(self._actors)), dict[int, Any]()
        while not self._gone.is_set() and self._dead is None:
            asked |= {rank: actor.alive.remote() for rank, actor in enumerate(self._actors) if rank not in asked}
            self._gone.wait(_LOOK_S)
            answered = ray.wait(list(asked.values()), num_returns=len(asked), timeout=0)[0]
            moved = [asked[rank] in answered for rank in range(len(self._actors))]
            for rank in (rank for rank, has in enumerate(moved) if has):
                self._look(rank, asked.pop(rank))
            for rank, seconds in silence.too_long(moved).items():
                self._stood[rank] = f"stood still for {seconds:.0f} s and was ended"
                ray.kill(self._actors[rank])

    def kill(self) -> None:
        self._gone.set()
        if ray.is_initialized():  # else all of them have ended with the connection
            for actor in self._actors:
                ray.kill(actor)
            remove_placement_group(self._room)

    def leave(self) -> None:
        self.kill()

    def _actor(self, rank: int, resources: dict[str, float]) -> Any:
        return _Actor.options(
            num_cpus=resources["CPU"], num_gpus=resources.get("GPU", 0),
            scheduling_strategy=PlacementGroupSchedulingStrategy(self._room, placement_group_bundle_index=rank),
        ).remote(str(Path.cwd()))  # fmt: skip

    def _answers(self, sent: Sequence[Any], method: str) -> list[Any]:
        ranks, values = {ref: rank for rank, ref in enumerate(sent)}, dict[int, Any]()
        while len(values) < len(ranks):
            [ref], _ = ray.wait([ref for ref, rank in ranks.items() if rank not in values])
            value, error = self._word(rank := ranks[ref], ref)
            if error is not None:
                self._fail(sent, method, dict.fromkeys(values) | {rank: error})
            values[rank] = value
        return [values[rank] for rank in range(len(sent))]

    def _word(self, rank: int, ref: Any) -> tuple[Any, Exception | None]:
        try:
            return ray.get(ref)
        except ray.exceptions.RayTaskError as error:  # of Ray's own, around the worker
            return None, RunStopped(
                f"{_asked(self._config, self._role)}: {self._names[rank]}: {error}. Remedy: `ray status`"
            )
        except ray.exceptions.RayError as error:
            return None, Left(self._lost(rank, error))

    def _lost(self, rank: int, error: Exception) -> str:
        how = self._stood.get(rank) or f"is gone: {' '.join(str(error).split())}"
        return f"{self._names[rank]} {how}"

    def _look(self, rank: int, ping: Any) -> None:
        try:
            ray.get(ping)
        except ray.exceptions.RayError as error:
            self._dead = self._dead or self._lost(rank, error)

    def _fail(self, sent: Sequence[Any], method: str, heard: dict[int, Exception | None]) -> NoReturn:
        """Raise what went wrong: the death of any worker, else `raise_what_went_wrong`; `heard`: what they have said, by rank."""
        for ref in ray.wait(list(sent), num_returns=len(sent), timeout=_DEATH_WAIT_S)[0]:
            if (rank := sent.index(ref)) not in heard:
                heard[rank] = self._word(rank, ref)[1]
        for error in heard.values():
            if isinstance(error, Left):
                raise WorkerLost(f"{error} in {method}")
        raise_what_went_wrong(self._names, heard, method)


def bundle(config: Config) -> dict[str, float]:
    """What a worker holds of a node: a GPU where the models are to lie on one, and the cluster has some."""
    has_gpus = any(node["Resources"].get("GPU", 0) for node in _nodes())
    on_gpu = config.run.device == "cuda" or (config.run.device == "auto" and has_gpus)
    return {"CPU": 1.0} | ({"GPU": 1.0} if on_gpu else {})


def refuse_without_room(config: Config) -> None:
    """Raises ConfigError where nodes cannot hold the groups, or where these could leave no node that is able to play a shard."""
    placed = [role for role in ("actor", "extractor") if _is_placed(config, role)]
    workers, each = sum(config.role(role).learn.workers for role in placed), bundle(config)
    fits = sum(int(min(node["Resources"].get(name, 0) // amount for name, amount in each.items())) for node in _nodes())
    # Wherever Ray puts them, some node keeps enough CPUs for a shard if there are fewer than it takes to spoil every node.
    cpus = (node["Resources"].get("CPU", 0) for node in _nodes())
    spoils = sum(max(0, int(free) - cpus_per_shard(config) + 1) for free in cpus)
    if workers > fits or workers >= spoils:
        asked = " and ".join(_asked(config, role) for role in placed)
        raise ConfigError(
            f"{asked}: each worker takes {_amounts(each)} of one node for good, and a shard {cpus_per_shard(config)} CPUs; there "
            f"are {nodes_told()}. Remedy: fewer workers, lower envs.workers, or nodes with more (`ray start --num-cpus`)"
        )


def start_crew(config: Config) -> type[CrewOnNodes] | None:
    """Starts workers on the cluster that is connected (`Hooks.start_crew`); None: none is placed there. Raises ConfigError."""
    if not any(_is_placed(config, role) for role in ("actor", "extractor")):
        return None
    refuse_without_room(config)
    return CrewOnNodes


def nodes_told() -> str:
    """Nodes with what they have, in words."""
    told = [f"{node['NodeManagerAddress']} ({_amounts(node['Resources'])})" for node in _nodes()]
    return f"{len(told)} nodes: {', '.join(told)}"


def _is_placed(config: Config, role: str) -> bool:
    learning = config.role(role).learn
    return learning.placed == "ray" and not learning.freeze


def _asked(config: Config, role: str) -> str:
    return f"learn.{role}.workers = {config.role(role).learn.workers} with placed = 'ray'"


def _amounts(resources: dict[str, float]) -> str:
    return ", ".join(f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU") if name in ("CPU", *resources))


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]
