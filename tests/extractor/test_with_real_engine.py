"""The whole way with a real tokenizer, chat format, model (random weights) and engine; no fakes."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from crl.actor.ask import AskTool
from crl.actor.gate import Gate
from crl.actor.prompts import actor_prompts
from crl.config.compose import composed
from crl.engine.protocol import Sampling
from crl.engine.transformers import TransformersEngine
from crl.envs.contract import Observation
from crl.extractor.distil import distil
from crl.extractor.merge import merge
from crl.extractor.merge_reply import parse_merge
from crl.extractor.operations import parse_operations
from crl.extractor.prompts import extractor_prompts
from crl.lockstep import Turnstile
from crl.models.chat import ChatFormat
from crl.replies.screening import TextLimits
from crl.seeding import stream
from crl.tasks.sets import TaskSets
from crl.tiny.casting import casts
from crl.tiny.corpus import texts
from crl.tiny.model import build_model
from crl.tiny.taught_replies import random_exchange
from crl.tiny.tokenizer import train_tokenizer
from crl.types import EpisodeKey, Experience, GateDecision, Origin

ADVICE = "go to open cells first and take the key to the door"
SLOTS = "n:open e:wall s:back w:seen stairs:unseen key:here door:west"


@pytest.fixture(scope="module")
def config():
    return composed("quick", folder=Path(__file__).parents[2] / "conf")


@pytest.fixture(scope="module")
def tokenizer(config):
    return train_tokenizer(texts(config, casts(config, TaskSets.generate(config))), config.models.vocab_size)


@pytest.fixture(scope="module")
def chat(tokenizer):
    return ChatFormat(tokenizer)


@pytest.fixture
def turnstile():
    return Turnstile()


@pytest.fixture
def engine(config, tokenizer, chat, turnstile):
    model = build_model(config.models.extractor, tokenizer, seed=1)
    engine = TransformersEngine(
        model,
        tokenizer,
        end_ids=chat.end_ids,
        max_sessions=8,
        context_tokens=config.models.extractor.context_tokens,
        turnstile=turnstile,
    )
    yield engine
    engine.close()


async def in_turn(turnstile, work):
    """Await work as a participant of the turnstile."""
    with turnstile.participant():
        return await work


async def test_distillations_of_one_wave_repeat_to_the_bit_and_keep_their_whole_prompts(
    play, engine, turnstile, chat, config
):
    episode = play([(SLOTS, "east")], retrieved=(ADVICE,), shown=ADVICE)
    episodes = [replace(episode, key=EpisodeKey(0, 0, index)) for index in range(4)]

    async def wave():
        work = [in_turn(turnstile, distil(e, engine=engine, chat=chat, config=config, run_id="run")) for e in episodes]
        return await asyncio.gather(*work)

    first, again = await wave(), await wave()
    assert [item.completion for item in first] == [item.completion for item in again]
    assert len({item.completion.token_ids for item in first}) == len(episodes)
    for item in first:
        assert chat.decode(item.completion.prompt_ids) == f"<|user|>distil maze death 1 {ADVICE}<|end|><|assistant|>"
        assert bool(item.operations) != bool(item.refusal)


async def test_gate_ask_and_merge_survive_a_model_that_talks_nonsense(engine, turnstile, chat, config):
    origin = Origin("completion", "r0.g0.e0", 0, "distil")
    entries = [Experience(f"id-{n}", "maze", f"{ADVICE} {n}", "key", origin) for n in range(3)]
    observation = Observation(SLOTS, "maze: reach the stairs", ("east",))

    class Shelf:
        async def retrieve(self, scope, text, *, key, round):
            return entries

    limits = TextLimits(4, config.bank.max_entry_chars)
    gate = Gate(actor_prompts(config.actor), "run", 16, limits, {})
    reply = await in_turn(
        turnstile, gate.decide(engine, chat, observation, ADVICE, task="maze", key="g", sampling=Sampling())
    )
    assert reply.decision in (GateDecision.UNPARSABLE, GateDecision.ACCEPT, GateDecision.REFINE, GateDecision.REJECT)
    use = await in_turn(
        turnstile, AskTool(config, "run", Shelf(), engine, chat).ask("where?", scope="maze", key="a", round=0)
    )
    assert use.answer
    result = await in_turn(
        turnstile, merge("maze", entries, engine=engine, chat=chat, config=config, run_id="run", round=5)
    )
    assert len(result.calls) == 1


def test_compact_prompts_stay_small_in_real_tokens(play, chat, config):
    prompts, observation = (
        actor_prompts(config.actor),
        Observation(SLOTS, "keyroom: open the door and reach the stairs"),
    )
    opening = len(chat.open(prompts.opening(observation)))
    assert opening <= 20
    assert len(chat.open(prompts.opening(observation, ADVICE))) <= opening + 1 + len(ADVICE.split())
    episode = play([(SLOTS, "east")] * 28, retrieved=(ADVICE,))
    messages = extractor_prompts("compact").distil(episode, [ADVICE], max_operations=3, last_turns=1)
    assert len(chat.open(messages)) <= 40


@pytest.mark.parametrize("style", ["compact", "brief"])
def test_every_reply_that_the_warm_start_teaches_is_accepted(style, play):
    config = composed("quick", [f"extractor.prompts={style}"], folder=Path(__file__).parents[2] / "conf")
    rng, cast = stream(0, "test"), casts(config, TaskSets.generate(config))
    episodes = {name: [play([(SLOTS, "east")])] for name in cast}
    prompts = extractor_prompts(config.extractor.prompts)
    limits = TextLimits(prompts.min_chars, config.bank.max_entry_chars)
    for _ in range(200):
        messages, reply = random_exchange(config, episodes, cast, rng)
        if messages[-1].content.startswith(("merge", "Task:")):
            parsed = parse_merge(reply, form=prompts.form, max_items=9, limits=limits)
        else:
            parsed = parse_operations(reply, ("id-1",), form=prompts.form, max_operations=3, limits=limits)
        assert parsed.refusal is None
