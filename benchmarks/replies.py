"""Real replies of real models, and how many of them each strictness of the readers refuses.

    python -m benchmarks.replies sample MODEL [--prompts brief] [--counts 9] [--most 64]    # goes on where it was stopped
    python -m benchmarks.replies [--markdown] [--refused]        # the table, without any model; the refused ones

Sampling appends to benchmarks/raw_replies/MODEL.jsonl: these lines are committed, so the measurement can be repeated. Which of
the refused ones a person would keep was decided by reading them: raw_replies/kept.json.
"""

import argparse
import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.common import markdown, print_table
from benchmarks.replies_prompts import ENTRIES, Asked, asked, instructions_of, settings
from crl.actor.actions import parse_action
from crl.actor.ask import read_answer
from crl.actor.gate import parse_gate
from crl.actor.prompts import actor_prompts
from crl.config import Config
from crl.engine.open import open_engine
from crl.engine.protocol import Sampling
from crl.extractor.merge_reply import parse_merge
from crl.extractor.operations import parse_operations
from crl.extractor.prompts import extractor_prompts
from crl.extractor.sentence import finished, stop_strings
from crl.replies.screening import TextLimits
from crl.replies.thoughts import whole_reply
from crl.seeding import derive_seed
from crl.types import GateDecision

FOLDER = Path(__file__).parent / "raw_replies"
KEPT = FOLDER / "kept.json"  # MODEL/PROMPTS/PURPOSE/TASK/NUMBER of refused replies
COUNTS = {"distil": 40, "merge": 12, "gate": 12, "ask": 12, "act": 24}
MAX_NEW_TOKENS = {"distil": 192, "merge": 256, "gate": 128, "ask": 128, "act": 96}  # two cores read and write them
CONTEXT_TOKENS = 4096
TEMPERATURE = 0.7


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model replied to one prompt of benchmarks.replies_prompts."""

    model: str
    purpose: str
    task: str
    number: int
    text: str
    cut: bool  # it had not ended within its room
    shown: int
    actions: tuple[str, ...]
    forms: tuple[str, ...]
    prompts: str  # the set
    prompt_tokens: int
    tokens: int

    @property
    def key(self) -> str:
        return f"{self.prompts}/{self.purpose}/{self.task}/{self.number}"


def stored(model: str) -> list[Reply]:
    """What was sampled of a model so far; tuples are lists in JSON."""
    file = FOLDER / f"{model}.jsonl"
    lines = file.read_text().splitlines() if file.is_file() else []
    return [Reply(**{k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(line).items()}) for line in lines]


def sample(model: str, prompts: str, engine_kind: str, counts: dict[str, int], most: int) -> None:
    """Ask what was not asked yet, and store each reply when it comes."""
    config = settings(prompts)
    known = {reply.key for reply in stored(model)}
    missing = [each for each in asked(config, counts) if f"{prompts}/{each.key}" not in known]
    missing.sort(key=lambda each: each.number)  # some of each purpose early: it may be stopped
    chosen = config.model_dump()
    chosen["engine"] |= {"kind": engine_kind, "eager": True}
    chosen["models"]["actor"] |= {"source": model, "context_tokens": CONTEXT_TOKENS, "dtype": "bfloat16"}
    chosen["run"] |= {"schedule": "async"}
    asyncio.run(_ask(Config.model_validate(chosen), model, missing, most))


async def _ask(config: Config, model: str, prompts: Sequence[Asked], most: int) -> None:
    _, chat, engine = open_engine(config, "actor", config.models.actor.source, sessions=8, turnstile=None)
    FOLDER.mkdir(exist_ok=True)
    acts, form = actor_prompts(config.actor), extractor_prompts(config.extractor.prompts).form
    stops = {"act": acts.stop_strings(asking=False), "gate": acts.ends}
    line, file = iter(prompts), (FOLDER / f"{model}.jsonl").open("a")

    async def worker() -> None:
        for each in line:
            sampling = Sampling(
                temperature=TEMPERATURE, top_p=0.95, max_new_tokens=min(most, MAX_NEW_TOKENS[each.purpose]),
                stop=stops.get(each.purpose, stop_strings(form)),
                seed=derive_seed("benchmark-replies", each.key),
            )  # fmt: skip
            async with engine.session(each.key) as session:
                completion = await session.generate(chat.open(each.messages), sampling, each.key)
            reply = Reply(
                model, each.purpose, each.task, each.number, whole_reply(completion, chat),
                completion.stop_reason != "stop", each.shown, each.actions, each.forms,
                config.actor.prompts, len(completion.prompt_ids), len(completion.token_ids),
            )  # fmt: skip
            file.write(json.dumps(asdict(reply), ensure_ascii=False) + "\n")
            file.flush()
            print(f"{reply.key}: {len(completion.token_ids)} tokens after {len(completion.prompt_ids)}", flush=True)

    try:
        await asyncio.gather(*(worker() for _ in range(8)))
    finally:
        file.close()
        engine.close()


def refused_for(reply: Reply) -> str:
    """Why the reader of its purpose refuses a reply, in one word; empty where it reads it."""
    config = settings(reply.prompts)
    acts, writes = actor_prompts(config.actor), extractor_prompts(config.extractor.prompts)
    limits = TextLimits(writes.min_chars, config.bank.max_entry_chars)
    told = instructions_of(config, reply.purpose, reply.shown)
    written = finished(reply.text, writes.form, cut=reply.cut)
    match reply.purpose:
        case "distil":
            operations = config.extractor.distil.max_operations
            ids = [str(number) for number in range(reply.shown)]
            refusal = parse_operations(
                written, ids, form=writes.form, max_operations=operations, limits=limits, told=told
            ).refusal
        case "merge":
            items = len(ENTRIES[reply.task])
            refusal = parse_merge(written, form=writes.form, max_items=items, limits=limits, told=told).refusal
        case "gate":
            decision = parse_gate(acts, reply.text, TextLimits(acts.min_chars, limits.max_chars), told).decision
            return "unparsable" if decision is GateDecision.UNPARSABLE else ""
        case "ask":
            return "not shown" if read_answer(written, told) is None else ""
        case _:
            return "no action" if parse_action(reply.text, reply.actions, reply.forms) is None else ""
    return "" if refusal is None else refusal.reason.value


HEADINGS = (
    "model", "prompts", "purpose", "prompt tokens", "reply tokens", "replies", "cut", "read", "refused", "a person would keep",
    "refused for",
)  # fmt: skip


def table() -> list[list[str]]:
    """One line of each model, prompt set and purpose, actions by environment; tokens are means."""
    kept = set(json.loads(KEPT.read_text())) if KEPT.is_file() else set()
    lines = []
    for file in sorted(FOLDER.glob("*.jsonl")):
        replies = stored(file.stem)
        for (prompts, purpose), of_it in sorted(_grouped(replies).items(), reverse=True):
            why = {reply.key: reason for reply in of_it if (reason := refused_for(reply))}
            reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(why.values()).most_common())
            good = sum(f"{file.stem}/{key}" in kept for key in why)
            cut = sum(reply.cut for reply in of_it)
            means = (fmean(reply.prompt_tokens for reply in of_it), fmean(reply.tokens for reply in of_it))
            figures = (*map(round, means), len(of_it), cut, len(of_it) - len(why), len(why), good)
            lines.append([file.stem, prompts, purpose, *map(str, figures), reasons])
    return lines


def _grouped(replies: Sequence[Reply]) -> dict[tuple[str, str], list[Reply]]:
    groups = defaultdict(list)
    for reply in replies:
        purpose = f"act, {reply.task}" if reply.purpose == "act" else reply.purpose
        groups[reply.prompts, purpose].append(reply)
    return groups


def show_refused() -> None:
    """The refused replies in full, for whoever judges them."""
    for file in sorted(FOLDER.glob("*.jsonl")):
        for reply in stored(file.stem):
            if reason := refused_for(reply):
                print(f"===== {file.stem}/{reply.key}: {reason}{', cut' if reply.cut else ''}\n{reply.text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=("sample",), help="ask a model; without it the table is printed")
    parser.add_argument("model", nargs="?", help="a source, as in models.actor.source")
    parser.add_argument("--engine", default="transformers", help="engine.kind that plays it (default %(default)s)")
    parser.add_argument(
        "--prompts", default="full", help="the prompt set, of actor and extractor (default %(default)s)"
    )
    parser.add_argument("--counts", type=int, help="at most so many prompts of each purpose, for a small sample")
    parser.add_argument("--most", type=int, default=max(MAX_NEW_TOKENS.values()), help="new tokens of a reply, at most")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/pretrained.md")
    parser.add_argument("--refused", action="store_true", help="print the refused replies")
    options = parser.parse_args()
    if options.what == "sample":
        counts = {purpose: min(count, options.counts or count) for purpose, count in COUNTS.items()}
        sample(options.model, options.prompts, options.engine, counts, options.most)
    elif options.refused:
        show_refused()
    elif options.markdown:
        print(markdown(HEADINGS, table()))
    else:
        print_table("replies of real models", HEADINGS, table())


if __name__ == "__main__":
    main()
