"""What the tiny extractor is taught to write: valid replies of every kind, with no preference for any strategy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from crl.config import Config
from crl.extractor.merge_reply import ITEM_END, ITEM_START
from crl.extractor.operations import render_operations
from crl.extractor.prompts import extractor_prompts
from crl.extractor.sentence import Form
from crl.models.chat import Message
from crl.seeding import pick
from crl.tiny.casting import Cast
from crl.types import Episode, GateDecision, Guidance, Operation, OperationKind, Outcome

RETURN = Operation(OperationKind.RETURN)
MERGE_SHARE, RETURN_SHARE, UPDATE_SHARE = 0.2, 0.1, 0.2
_SHOWN = "shown"  # a stand-in for the id of the one retrieved entry


def kinds_taught(config: Config) -> tuple[OperationKind, ...]:
    """The operations that the prompt set's form can say."""
    return (OperationKind.ADD,) if _form(config) == "sentence" else tuple(OperationKind)


def operations_reply(advice: str, kind: OperationKind, config: Config) -> str:
    """One operation in the machine format."""
    operation = {
        OperationKind.RETURN: RETURN,
        OperationKind.ADD: Operation(OperationKind.ADD, advice),
        OperationKind.UPDATE: Operation(OperationKind.UPDATE, advice, (_SHOWN,)),
    }[kind]
    return render_operations([operation], [_SHOWN], _form(config))


def _form(config: Config) -> Form:
    return extractor_prompts(config.extractor.prompts).form


def merge_reply(advice: str, config: Config) -> str:
    """One text in place of all that were shown."""
    return advice if _form(config) == "sentence" else f"{ITEM_START} {advice} {ITEM_END}"


def random_exchange(
    config: Config, episodes: Mapping[str, Sequence[Episode]], casts: Mapping[str, Cast], rng: np.random.Generator
) -> tuple[list[Message], str]:
    """A prompt as the run will pose it, about one of the scripted `episodes` of a task, and a valid reply."""
    task = str(rng.choice(list(episodes)))
    cast, episode = casts[task], pick(episodes[task], rng)

    def advice(about: Episode) -> str:
        return cast.script.told(pick(cast.advised, rng), about.turns[0].observation)

    if rng.random() < MERGE_SHARE:
        count = int(rng.integers(2, config.extractor.merge.items_per_call + 2))
        entries = [advice(pick(episodes[task], rng)) for _ in range(count)]
        return extractor_prompts(config.extractor.prompts).merge(task, entries), merge_reply(
            str(rng.choice(entries)), config
        )
    entries = [advice(episode)] if rng.random() < 0.8 else []
    point = rng.random()
    kind = OperationKind.ADD
    if point < RETURN_SHARE:
        kind = OperationKind.RETURN
    elif point < RETURN_SHARE + UPDATE_SHARE and entries:
        kind = OperationKind.UPDATE
    kind = kind if kind in kinds_taught(config) else OperationKind.ADD
    lesson = pick(cast.script.lessons(cast.advised, episode), rng)
    return _distil_prompt(config, episode, entries, rng), operations_reply(lesson, kind, config)


def _distil_prompt(config: Config, episode: Episode, entries: list[str], rng: np.random.Generator) -> list[Message]:
    """With any outcome: which lesson follows from which is not taught."""
    guidance = Guidance("", GateDecision.OFF, retrieved=tuple(entries))
    episode = replace(episode, outcome=pick(list(Outcome), rng), guidance=guidance)
    distil = config.extractor.distil
    return extractor_prompts(config.extractor.prompts).distil(
        episode, entries, max_operations=distil.max_operations, last_turns=distil.transcript_turns
    )
