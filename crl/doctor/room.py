"""Whether learner groups find room on this machine: asked before a round, so that none is lost to a worker without memory."""

import logging
from dataclasses import dataclass

from crl.config import Config, Role
from crl.doctor.accelerator import gpus, wants_gpu
from crl.doctor.finding import Situation
from crl.doctor.machine import available_bytes
from crl.doctor.needs import checkpoint_bytes, learner_part
from crl.errors import ConfigError
from crl.plan.memory import GIB
from crl.plan.plan import ROLES
from crl.plan.shapes import shape_in

_PROCESS = 0.6 * GIB  # torch, transformers and gloo, with a tiny model; measured: 0.6 to 0.9

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Group:
    """Bytes of a role's learner group, by one of its workers."""

    role: Role
    workers: int
    lasting: int
    passing: int  # beside it, while it updates
    # In the first worker's main memory, while it puts the model out: the weights, and a plain model. What it loads, to share out
    # among all, is no more.
    gathered: int
    written: int  # in the main memory of all workers on GPUs, while they write a checkpoint

    @classmethod
    def of(cls, config: Config, role: Role) -> "Group":
        """Raises ConfigError where the size of the model cannot be told without loading it."""
        learning, shape = config.role(role).learn, shape_in(config, role)
        part, alone = (learner_part(config, role, shape, gpus) for gpus in (learning.workers, 1))
        return cls(
            role, learning.workers, part.total - part.passing, part.passing, gathered=2 * alone.bytes["weights"],
            written=checkpoint_bytes(config, role, shape),
        )  # fmt: skip


def refuse_without_room(config: Config) -> None:
    """Raises ConfigError with what the groups of `learn.<role>.workers` would need, where that is more than is free.

    Theirs alone, with full micro-batches, without engines and environments: what passes may still be too much (`crl doctor`,
    `crl plan`). A model whose size cannot be told passes, with a warning.
    """
    learning = {role: config.role(role).learn for role in ROLES}
    grouped = [role for role, its in learning.items() if its.workers and its.placed == "here" and not its.freeze]
    if not grouped:
        return
    try:
        groups = [Group.of(config, role) for role in grouped]
    except ConfigError as error:
        log.warning("whether learn.*.workers find room here cannot be told: %s", error)
        return
    situation = Situation(config)
    processes, gathered = sum(_PROCESS * group.workers for group in groups), max(group.gathered for group in groups)
    if not wants_gpu(situation):
        lasting = sum(group.lasting * group.workers for group in groups)
        passing = max(group.passing * group.workers for group in groups)
        _refuse_more(groups, processes + lasting + max(passing, gathered), available_bytes(), "this machine's memory")
        return
    written = max(group.written for group in groups)
    _refuse_more(groups, processes + max(gathered, written), available_bytes(), "this machine's memory")
    for index, gpu in enumerate(gpus(situation.patience_s)):
        here = [group for group in groups if index < group.workers]
        needed = sum(group.lasting for group in here) + max((group.passing for group in here), default=0)
        _refuse_more(here, needed, gpu.free_bytes, f"GPU {index} ({gpu.name})")


def _refuse_more(groups: list[Group], needed: float, free: float, where: str) -> None:
    if needed <= free:
        return
    fields = " and ".join(f"learn.{group.role}.workers = {group.workers}" for group in groups)
    each = ", ".join(
        f"{(group.lasting + group.passing) / GIB:.1f} GiB for each of the {group.role}'s" for group in groups
    )
    raise ConfigError(
        f"{fields}: the workers need about {needed / GIB:.1f} GiB of {where}, and {free / GIB:.1f} GiB are free ({each}). Remedy: "
        "learn.*.optimizer.checkpointing: true, a smaller micro_batch_tokens, a smaller model or learn.*.lora, more memory, or "
        "(GPUs) more workers"
    )
