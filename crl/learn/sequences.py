"""The one place that decides which tokens are trained.

A trajectory is token-in, token-out: the ids of every turn are concatenated exactly as the engine saw and
sampled them, and nothing is tokenised twice. Where a context lost something, another begins with what was left.
Only sampled ids carry mask 1, once; of a reply that was one of a few choices,
those at which there was a choice. Observations, injected
experience, tool results and chat scaffolding reach the model as prompt ids, and the gate's reply is a
completion of another context, so none of them can be trained by mistake (method 1.5).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from crl.errors import DataError
from crl.types import Completion, Episode


@dataclass(frozen=True, slots=True)
class TrainingSequence:
    """One trajectory as the trainer takes it; the first three tuples are parallel, of length T, and so is `allowed`.

    It has several contexts where later turns did not see all of what earlier ones had said (`actor.thoughts: drop`).
    """

    input_ids: tuple[int, ...]
    loss_mask: tuple[int, ...]  # 1 exactly on ids that were sampled, and not the only ones to be had
    old_logprobs: tuple[float, ...]  # nats at sampling time, 0.0 where the mask is 0
    temperature: float  # the log-probs are of softmax(logits / temperature), above 0
    version: int | None = None  # of the weights that sampled all of it; None: of several
    in_context: bool = (
        True  # else its ids were sampled after other ones: its `old_logprobs` say nothing, no ratio is taken
    )
    # What each id with mask 1 was drawn among: log-probs are of the softmax over these. () as a whole: all ids.
    allowed: tuple[tuple[int, ...], ...] = ()
    # Where contexts begin: the model reads each by itself, and in every mean they are one sequence.
    starts: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        lengths = (len(self.input_ids), len(self.loss_mask), len(self.old_logprobs))
        if len(set(lengths)) != 1:
            raise DataError(f"input_ids, loss_mask, old_logprobs have lengths {lengths}. Remedy: make them parallel")
        if self.allowed and len(self.allowed) != len(self.input_ids):
            raise DataError(
                f"allowed has {len(self.allowed)} entries for {len(self.input_ids)} ids. Remedy: one each, or () for free replies"
            )
        if self.loss_mask and any(self.loss_mask[start] for start in self.starts):
            raise DataError("loss_mask[0] = 1: nothing precedes the first token. Remedy: start with a prompt")

    @property
    def trainable_tokens(self) -> int:
        return sum(self.loss_mask)


@dataclass(frozen=True, slots=True)
class WeightedSequence:
    """A sequence and the one number that its tokens share: its advantage, or its weight in supervised training."""

    sequence: TrainingSequence
    weight: float


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Ready for `Trainer.update`; metrics carry the vocabulary's `actor/` or `extractor/` prefix."""

    sequences: tuple[WeightedSequence, ...]
    metrics: dict[str, float]


def episode_sequence(episode: Episode) -> TrainingSequence:
    """All turns of an episode as one sequence. Raises DataError for completions that cannot be trained on."""
    return _concatenate(_said_in(episode), source=f"episode {episode.key}")


def sequence_without_experience(episode: Episode) -> TrainingSequence:
    """The same turns after the opening that a free episode has. Raises DataError as `episode_sequence` does.

    Exact, since the experience stands in the opening alone (an episode that asked has more of it: not this one's case).
    """
    (_, first), *rest = _said_in(episode)
    opening = replace(first, prompt_ids=episode.opening_without_experience)
    sequence = _concatenate([(0, opening), *rest], source=f"episode {episode.key} without its experience")
    return replace(sequence, version=None, in_context=False)


def completion_sequence(*completions: Completion) -> TrainingSequence:
    """The turns of one context, one of a distillation. Raises DataError if they cannot be trained on."""
    return _concatenate([(0, each) for each in completions], source=f"completion {completions[0].id}")


def _said_in(episode: Episode) -> list[tuple[int, Completion]]:
    return [(turn.dropped, turn.completion) for turn in episode.turns]


def _concatenate(said: Iterable[tuple[int, Completion]], source: str) -> TrainingSequence:
    """Completions, each with how many ids its context lost before it: then another one begins, with what was left."""
    starts = [0]
    ids: list[int] = []
    mask: list[int] = []
    logprobs: list[float] = []
    allowed: list[tuple[int, ...]] = []
    temperatures: set[float] = set()
    versions: set[int] = set()
    chosen: set[bool] = set()  # whether replies were among choices
    for dropped, completion in said:
        if len(completion.logprobs) != len(completion.token_ids):
            raise DataError(
                f"{source}: completion {completion.id} has {len(completion.token_ids)} token ids but "
                f"{len(completion.logprobs)} log-probs. Remedy: the engine must return one log-prob per sampled id"
            )
        if not ids and not completion.prompt_ids:
            raise DataError(f"{source}: completion {completion.id} has no prompt. Remedy: start the context with one")
        temperatures.add(completion.temperature or 1.0)  # greedy: see `crl.engine.protocol.Sampling`
        versions.add(completion.version)
        chosen.add(bool(completion.allowed))
        among = completion.allowed or ((),) * len(completion.token_ids)
        if dropped:
            left = ids[starts[-1] : len(ids) - dropped]
            starts.append(len(ids))
            ids += left
            mask += [0] * len(left)
            logprobs += [0.0] * len(left)
            allowed += [()] * len(left)
        ids += completion.prompt_ids + completion.token_ids
        mask += [0] * len(completion.prompt_ids) + [int(len(those) != 1) for those in among]
        logprobs += [0.0] * len(completion.prompt_ids) + list(completion.logprobs)
        allowed += [()] * len(completion.prompt_ids) + list(among)
    if len(temperatures) > 1:
        raise DataError(
            f"{source}: sampled at temperatures {sorted(temperatures)}. Remedy: keep one temperature within a "
            "sequence, its log-probs are compared under one softmax"
        )
    if len(chosen) > 1:
        raise DataError(
            f"{source}: free replies beside replies among choices. Remedy: keep one setting of actor.replies within a sequence"
        )
    temperature = temperatures.pop() if temperatures else 1.0
    version = versions.pop() if len(versions) == 1 else None
    return TrainingSequence(
        tuple(ids),
        tuple(mask),
        tuple(logprobs),
        temperature,
        version,
        allowed=tuple(allowed) if chosen == {True} else (),
        starts=tuple(starts),
    )
