"""What the tiny extractor is taught to write: valid replies of every kind, with no preference for any strategy."""

from collections.abc import Mapping

import numpy as np

from crl.config import Config
from crl.extractor.merge_reply import ITEM_END, ITEM_START
from crl.extractor.operations import render_operations
from crl.extractor.prompts import extractor_prompts
from crl.models.chat import Message
from crl.seeding import pick
from crl.tasks.sets import TaskSets
from crl.tiny.casting import Cast
from crl.types import Episode, EpisodeKey, GateDecision, Guidance, Operation, OperationKind, Outcome, Task

RETURN = Operation(OperationKind.RETURN)
MERGE_SHARE, RETURN_SHARE, UPDATE_SHARE = 0.2, 0.1, 0.2
_SHOWN = "shown"  # a stand-in for the id of the one retrieved entry


def operations_reply(advice: str, kind: OperationKind, config: Config) -> str:
    """One operation in the machine format."""
    operation = {
        OperationKind.RETURN: RETURN,
        OperationKind.ADD: Operation(OperationKind.ADD, advice),
        OperationKind.UPDATE: Operation(OperationKind.UPDATE, advice, (_SHOWN,)),
    }[kind]
    return render_operations([operation], [_SHOWN], extractor_prompts(config.extractor.prompts).tagged)


def merge_reply(advice: str) -> str:
    """One text in place of all that were shown."""
    return f"{ITEM_START} {advice} {ITEM_END}"


def random_exchange(
    config: Config, tasks: TaskSets, casts: Mapping[str, Cast], rng: np.random.Generator
) -> tuple[list[Message], str]:
    """A prompt as the run will pose it, and a valid reply."""
    task = str(rng.choice(list(casts)))
    choices = casts[task].advised
    if rng.random() < MERGE_SHARE:
        entries = [
            pick(choices, rng).advice for _ in range(int(rng.integers(2, config.extractor.merge.items_per_call + 2)))
        ]
        return extractor_prompts(config.extractor.prompts).merge(task, entries), merge_reply(str(rng.choice(entries)))
    entries = [pick(choices, rng).advice] if rng.random() < 0.8 else []
    point = rng.random()
    kind = OperationKind.ADD
    if point < RETURN_SHARE:
        kind = OperationKind.RETURN
    elif point < RETURN_SHARE + UPDATE_SHARE and entries:
        kind = OperationKind.UPDATE
    return _distil_prompt(config, tasks.train[task][0], entries, rng), operations_reply(
        pick(choices, rng).advice, kind, config
    )


def _distil_prompt(config: Config, task: Task, entries: list[str], rng: np.random.Generator) -> list[Message]:
    outcome = pick(list(Outcome), rng)
    guidance = Guidance("", GateDecision.OFF, retrieved=tuple(entries))
    episode = Episode(EpisodeKey(-1, 0, 0), task, True, (), outcome, 0.0, 0, guidance)
    limit = config.extractor.distil.max_operations
    return extractor_prompts(config.extractor.prompts).distil(episode, entries, max_operations=limit, last_turns=1)
