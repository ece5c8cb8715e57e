"""The periodic merge: the extractor consolidates a snapshot of one scope's entries (paper section 3, method 3.4).

A left fold over chunks: what one call wrote is carried into the next call's prompt, so that knowledge can meet across
chunks. A no-op or refused call ends the run of calls: what it was given stays as it was, and the next run starts empty.
Each run yields one `MergeChunk`, which the bank applies, or drops if a parent vanished meanwhile, on its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crl.config import Config
from crl.engine.protocol import Engine
from crl.extractor.distil import extractor_sampling
from crl.extractor.merge_reply import parse_merge
from crl.extractor.prompts import extractor_prompts, instructions
from crl.extractor.sentence import reply_text
from crl.models.chat import ChatFormat
from crl.replies.refusals import Refusal, RefusalReason
from crl.replies.screening import TextLimits
from crl.seeding import stream
from crl.types import Completion, Experience, stable_id


@dataclass(frozen=True, slots=True)
class MergeChunk:
    """Replace the parents by the texts; `completion` is the one call that wrote all of them."""

    scope: str
    parent_ids: tuple[str, ...]
    texts: tuple[str, ...]
    completion: Completion


@dataclass(frozen=True, slots=True)
class MergeCall:
    """One extractor call, for the metrics and the record. `completion` is None when no call could be made."""

    completion: Completion | None
    texts: tuple[str, ...] = ()  # what it wrote; (): no-op or refused
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class MergeResult:
    chunks: tuple[MergeChunk, ...]
    calls: tuple[MergeCall, ...]


async def merge(
    scope: str,
    entries: Sequence[Experience],
    *,
    engine: Engine,
    chat: ChatFormat,
    config: Config,
    run_id: str,
    round: int,
) -> MergeResult:
    """Fold over the entries in their order, in at most `max_calls` calls; where that is too few, over a random window.

    The calls of one scope depend on each other; scopes may run at once. Raises EngineError.
    """
    size = config.extractor.merge.items_per_call
    entries = _window(entries, size * config.extractor.merge.max_calls, config.run.seed, scope, round)
    sentences = extractor_prompts(config.extractor.prompts).form == "sentence"
    chunks: list[MergeChunk] = []
    calls: list[MergeCall] = []
    open_run: MergeChunk | None = None
    for number in range(config.extractor.merge.max_calls):
        fresh = entries[number * size : (number + 1) * size]
        carried = open_run.texts if open_run else ()
        # What was carried may be what a fresh entry says, too.
        texts = tuple(dict.fromkeys((*carried, *(entry.text for entry in fresh))))
        if not fresh or len(texts) < 2:
            break
        key = f"r{round}/{scope}/merge{number}"
        call = await _call(key, scope, texts, engine=engine, chat=chat, config=config, run_id=run_id)
        calls.append(call)
        if call.texts:
            parents = (open_run.parent_ids if open_run else ()) + tuple(entry.id for entry in fresh)
            open_run = MergeChunk(scope, parents, call.texts, call.completion)
        # A run also ends when it carries a whole chunk: prompts stay below twice `items_per_call` texts. One sentence is carried
        # no further: call by call it would replace the whole table.
        if open_run and (not call.texts or len(open_run.texts) >= size or sentences):
            chunks.append(open_run)
            open_run = None
    return MergeResult(tuple(chunks) + ((open_run,) if open_run else ()), tuple(calls))


def _window(entries: Sequence[Experience], limit: int, *stream_key: int | str) -> Sequence[Experience]:
    """At most `limit` neighbours, cyclically: entries that nobody wants to merge never starve the others."""
    if len(entries) <= limit:
        return entries
    start = int(stream(*stream_key, "merge-window").integers(len(entries)))
    return [*entries[start:], *entries[:start]][:limit]


async def _call(
    key: str, scope: str, texts: tuple[str, ...], *, engine: Engine, chat: ChatFormat, config: Config, run_id: str
) -> MergeCall:
    prompts = extractor_prompts(config.extractor.prompts)
    asked = prompts.merge(scope, texts)
    prompt_ids = chat.open(asked)
    sampling = extractor_sampling(config, key)
    async with engine.session(key) as session:
        if len(prompt_ids) + sampling.max_new_tokens > session.room:
            refusal = Refusal(RefusalReason.PROMPT_TOO_LONG, f"{len(prompt_ids)} tokens")
            return MergeCall(None, refusal=refusal)
        completion = await session.generate(prompt_ids, sampling, stable_id(run_id, key))
    limits = TextLimits(prompts.min_chars, config.bank.max_entry_chars)
    parsed = parse_merge(
        reply_text(completion, chat, prompts.form),
        form=prompts.form,
        max_items=len(texts),
        limits=limits,
        told=instructions(asked, prompts),
    )
    said = set(parsed.items)
    # The same entries again: replacing them would only change their credit. A sentence can copy one entry, not leave the others.
    if said == set(texts) or (prompts.form == "sentence" and said and said <= set(texts)):
        return MergeCall(completion)
    return MergeCall(completion, parsed.items, parsed.refusal)
