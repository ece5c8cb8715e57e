"""Distillation: one finished episode -> one extractor completion -> bank operations (paper section 3, method 3.2)."""

import time
from dataclasses import dataclass

from crl.config import Config
from crl.engine.protocol import Engine, Sampling, fits
from crl.extractor.operations import Parsed, parse_operations
from crl.extractor.prompts import extractor_prompts, instructions
from crl.extractor.sentence import reply_text, stop_strings
from crl.models.chat import ChatFormat
from crl.replies.refusals import Refusal, RefusalReason
from crl.replies.screening import TextLimits
from crl.seeding import derive_seed
from crl.types import Completion, Episode, EpisodeKey, Operation, TimedSpan, stable_id


@dataclass(frozen=True, slots=True)
class Distillation:
    """What one episode taught. `completion.prompt_ids` is the whole prompt: it is a training sample as it stands."""

    episode: EpisodeKey
    completion: Completion | None  # None: no prompt fits the extractor's context, and `refusal` says so
    shown_ids: tuple[str, ...]  # the entries listed in the prompt, in its order
    operations: tuple[Operation, ...]
    refusal: Refusal | None
    span: TimedSpan


async def distil(episode: Episode, *, engine: Engine, chat: ChatFormat, config: Config, run_id: str) -> Distillation:
    """Generate, in a session of its own, and parse. The completion's id depends on run and episode alone.

    An episode of which not even the shortest prompt fits the context is refused: no call is made. Raises EngineError when
    generation fails.
    """
    began, key = time.time(), f"{episode.key}/distil"
    sampling = extractor_sampling(config, key)
    async with engine.session(key) as session:
        prompt_ids, shown_ids, told = _fitting_prompt(episode, chat, config, session.room - sampling.max_new_tokens)
        if not fits(session, prompt_ids):
            refusal = Refusal(RefusalReason.PROMPT_TOO_LONG, f"{len(prompt_ids)} tokens")
            return Distillation(episode.key, None, shown_ids, (), refusal, TimedSpan("distil", began, time.time()))
        completion = await session.generate(prompt_ids, sampling, stable_id(run_id, key))
    parsed = parse(completion, shown_ids, told, chat, config)
    span = TimedSpan("distil", began, time.time())
    return Distillation(episode.key, completion, shown_ids, parsed.items, parsed.refusal, span)


def parse(
    completion: Completion, shown_ids: tuple[str, ...], told: str, chat: ChatFormat, config: Config
) -> Parsed[Operation]:
    """What a completion says, also one that was stored. `told`: the instructions that it follows."""
    prompts = extractor_prompts(config.extractor.prompts)
    return parse_operations(
        reply_text(completion, chat, prompts.form),
        shown_ids,
        form=prompts.form,
        max_operations=config.extractor.distil.max_operations,
        limits=TextLimits(prompts.min_chars, config.bank.max_entry_chars),
        told=told,
    )


def extractor_sampling(config: Config, key: str, max_new_tokens: int | None = None) -> Sampling:
    """How the extractor samples the request `key`."""
    sampling = config.extractor.distil.sampling
    return Sampling(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_new_tokens=max_new_tokens or sampling.max_new_tokens,
        stop=stop_strings(extractor_prompts(config.extractor.prompts).form),
        seed=derive_seed(config.run.seed, "extractor", key),
    )


def _fitting_prompt(
    episode: Episode, chat: ChatFormat, config: Config, room: int
) -> tuple[tuple[int, ...], tuple[str, ...], str]:
    """The longest prompt of at most `room` tokens, the ids of its entries, and its instructions; the shortest one if none is:
    where it fits the context at all, the reply is cut.

    Tried are ever fewer of the last turns (the end decides the outcome), at last without the retrieved entries.
    """
    guidance, extractor = episode.guidance, config.extractor
    prompts = extractor_prompts(extractor.prompts)
    entries = list(zip(guidance.entry_ids, guidance.retrieved, strict=True)) if guidance else []
    turns = min(len(episode.turns), extractor.distil.transcript_turns or len(episode.turns))
    sizes = [turns]
    while sizes[-1]:
        sizes.append(sizes[-1] // 2)
    attempts = [(size, entries) for size in sizes] + ([(0, [])] if entries else [])
    for last_turns, listed in attempts:
        messages = prompts.distil(
            episode, [text for _, text in listed],
            max_operations=extractor.distil.max_operations, last_turns=last_turns,
        )  # fmt: skip
        prompt = chat.open(messages), tuple(entry_id for entry_id, _ in listed), instructions(messages, prompts)
        if len(prompt[0]) <= room:
            break
    return prompt
