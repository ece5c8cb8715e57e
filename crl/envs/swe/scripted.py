"""Scripted play: the oracle, and attempts of seeded and varied skill.

Neither is a language model. `scripted_attempt` peeks at the reference repair: it stands in for a model of some skill where
none can be run, so that the pass@16 stage has a real histogram to filter.
"""

import base64
import math

from crl.envs.swe.instances import Candidate, Instance, from_payload
from crl.envs.swe.tools import render
from crl.seeding import stream
from crl.types import Task

SUBMIT = render("submit")
_LINES_PER_CALL = 250  # of 76 characters: well below what one command may hold


def solution(task: Task) -> tuple[str, ...]:
    """Grid actions that solve the task, from its reference repair."""
    instance = from_payload(task.payload)
    if instance.candidates:
        return (*_edits(instance.candidates[0]), SUBMIT)
    return (*_apply(instance), SUBMIT)


def scripted_attempt(task: Task, attempt_seed: int, skill: float) -> tuple[str, ...]:
    """Grid actions of one attempt by the scripted policy, on a task of the local set: the repair or a wrong edit, then submit.

    `skill` in [0, 1]. The chance of the repair falls with the task's difficulty and varies from task to task.
    """
    instance = from_payload(task.payload)
    chance = success_chance(instance, skill)
    rng = stream("swe", "attempt", instance.id, attempt_seed)
    right = rng.random() < chance
    wrong = 1 + int(rng.integers(len(instance.candidates) - 1))
    return (*_edits(instance.candidates[0 if right else wrong]), SUBMIT)


def success_chance(instance: Instance, skill: float) -> float:
    """Logistic in skill and difficulty; the last term makes tasks of one difficulty differ (one logit either way)."""
    own = 2 * stream("swe", "chance", instance.id).random() - 1
    return 1 / (1 + math.exp(-(6 * (skill - 0.5) + 1.2 * (2.5 - (instance.difficulty or 2.5)) + own)))


def _edits(candidate: Candidate) -> tuple[str, ...]:
    return tuple(
        render(
            "str_replace_editor",
            command="str_replace",
            path=f"/testbed/{edit.path}",
            old_str=edit.old,
            new_str=edit.new,
        )
        for edit in candidate
    )


def _apply(instance: Instance) -> tuple[str, ...]:
    """The patch in base64, since it may hold what would end a call; long ones in several calls."""
    text = base64.encodebytes(instance.patch.encode()).decode().splitlines()
    parts = ["\n".join(text[start : start + _LINES_PER_CALL]) for start in range(0, len(text), _LINES_PER_CALL)]
    writes = tuple(render("bash", command=f"cat >> /tmp/repair.b64 <<'END'\n{part}\nEND") for part in parts)
    return (*writes, render("bash", command="base64 -d /tmp/repair.b64 | git apply -"))
