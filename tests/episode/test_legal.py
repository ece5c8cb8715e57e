"""Legal replies: an untrained model plays a real task in it without one invalid turn, and learns from what it had a choice in."""

import asyncio
import math

import pytest
import torch
from pydantic import TypeAdapter

from crl.actor.actions import parse_action
from crl.actor.legal import LegalReplies, check_actions_fit
from crl.actor.prompts_brief import BriefActorPrompts
from crl.actor.prompts_full import FullActorPrompts
from crl.config import Config, from_mapping
from crl.config.compose import compose, composed
from crl.config.play import ModelConfig
from crl.engine.protocol import Sampling
from crl.engine.transformers import TransformersEngine
from crl.envs.contract import Observation
from crl.envs.hosting.pool import EnvPool
from crl.episode.many import play_all
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.errors import ConfigError
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.sequences import WeightedSequence, episode_sequence
from crl.learn.trainer import Trainer
from crl.models.chat import ChatFormat
from crl.round.commit import Progress
from crl.tasks.sets import request
from crl.tiny.model import build_model
from crl.types import Episode, EpisodeKey, GateDecision, Outcome, TurnKind
from tests.learn.samples import adam
from tests.replies.test_thoughts import chat_that_begins_with
from tests.round.runs import CONF

SHAPE = ModelConfig(hidden_size=32, layers=2, heads=2, context_tokens=4096)


def legal_config(
    family: str = "sokoban", level: str = "6x6-2", observation: str = "grid", style: str = "full"
) -> Config:
    values = compose("quick", [f"actor.prompts={style}", "actor.replies=legal", "actor.gate.enabled=true"], CONF)
    values["tasks"]["mix"] = {"walk": {"family": family, "level": level, "max_steps": 5}}
    values["envs"] |= {"workers": 0, "observation": observation, "call_timeout_s": 400.0}
    return from_mapping(values)


def untrained(chat: ChatFormat):
    """With opinions: at the usual scale of initial weights every choice would be a coin toss."""
    model = build_model(SHAPE, chat._tokenizer, 0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(1 if "norm" in name else 4)
    return model


def rollout(config: Config, chat: ChatFormat, context_tokens: int = SHAPE.context_tokens) -> list[Episode]:
    engine = TransformersEngine(
        untrained(chat), chat._tokenizer, end_ids=chat.end_ids, max_sessions=6, context_tokens=context_tokens,
        turnstile=None,
    )  # fmt: skip
    specs = [EpisodeSpec(EpisodeKey(0, 0, i), request(config, "walk", "train").task(i), guided=False) for i in range(6)]
    try:
        with EnvPool(config.envs) as pool:
            return asyncio.run(play_all(Player(config, "run", engine, chat, pool), specs, live=6))
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("family", "level", "observation", "style"),
    [
        ("sokoban", "6x6-2", "grid", "full"),
        ("minihack", "MiniHack-Room-Dark-5x5-v0", "slots", "compact"),
    ],
)
def test_an_untrained_model_plays_legally_and_its_ratio_is_one(
    family, level, observation, style, chat: ChatFormat
) -> None:
    episodes = rollout(legal_config(family, level, observation, style), chat)
    turns = [turn for episode in episodes for turn in episode.turns]
    assert {turn.kind for turn in turns} == {TurnKind.ACTION}
    assert len({turn.action for turn in turns}) > 2
    stored = TypeAdapter(Progress)
    kept = stored.validate_json(
        stored.dump_json(Progress(for_actor=tuple(episodes)))
    ).for_actor  # as a checkpoint has them
    assert kept == tuple(episodes)
    batch = [WeightedSequence(episode_sequence(each), (-1.0) ** i) for i, each in enumerate(kept)]
    drawn = sum(len(ids) > 1 for turn in turns for ids in turn.completion.allowed)
    assert sum(item.sequence.trainable_tokens for item in batch) == drawn
    assert drawn < sum(len(turn.completion.token_ids) for turn in turns)  # the end of a turn, at least, is no choice
    learner = Trainer(
        untrained(chat),
        adam(micro_batch_tokens=4096),
        GrpoObjective(kl_coef=0.1),
        reference_model=untrained(chat),
        device="cpu",
    )
    first = learner.update(batch, version=0)
    assert first["engine_mismatch_tokens"] == first["trained_tokens"] == drawn
    assert first["engine_mismatch_max"] < 1e-4
    assert (first["ratio_mean"], first["ratio_max"]) == pytest.approx((1.0, 1.0), abs=1e-4)
    assert first["reference_kl"] == pytest.approx(0.0, abs=1e-7)
    most = max(len(ids) for turn in turns for ids in turn.completion.allowed)
    assert 0 < first["entropy"] <= math.log(most)  # over all 800 ids it would be above
    assert first["grad_norm"] > 0
    assert learner.update(batch)["ratio_max"] > 1.001


def test_an_episode_ends_where_the_context_has_no_room_for_every_legal_reply(chat: ChatFormat) -> None:
    config = legal_config("minihack", "MiniHack-Room-Dark-5x5-v0", "slots", "compact")
    whole = rollout(config, chat)
    before = [turn.completion for turn in whole[0].turns[:2]]
    needed = sum(
        len(each.prompt_ids) + len(each.token_ids) for each in before
    )  # the second reply is a word and its end
    for room, turns in ((needed, 2), (needed - 1, 1)):
        cut = rollout(config, chat, context_tokens=room)[0]
        assert [turn.action for turn in cut.turns] == [turn.action for turn in whole[0].turns[:turns]]
        assert cut.outcome is Outcome.TRUNCATED


class Unsure(BriefActorPrompts):
    verdicts = ("Yes", "Perhaps")


def test_the_gate_says_yes_or_no_however_hot_it_is_sampled(chat: ChatFormat) -> None:
    """At the temperature that lets a small model explore among actions, its free replies are noise."""
    config = legal_config("minihack", "MiniHack-Room-Dark-5x5-v0", "slots", "brief")
    engine = TransformersEngine(
        untrained(chat), chat._tokenizer, end_ids=chat.end_ids, max_sessions=4, context_tokens=SHAPE.context_tokens,
        turnstile=None,
    )  # fmt: skip
    gate = Player(config, "run", engine, chat, None, records={}).gate
    seen = Observation("stairs:unseen", "reach the stairs", ("north", "east"))

    async def ask(seed: int) -> GateDecision:
        sampling = Sampling(temperature=3.0, max_new_tokens=1, seed=seed)
        reply = await gate.decide(engine, chat, seen, "Go north.", task="walk", key=f"gate{seed}", sampling=sampling)
        return reply.decision

    async def ask_all() -> list[GateDecision]:
        return await asyncio.gather(*(ask(seed) for seed in range(24)))

    try:
        decisions = asyncio.run(ask_all())
    finally:
        engine.close()
    assert set(decisions) == {GateDecision.ACCEPT, GateDecision.REJECT}


def test_a_gate_whose_replies_cannot_be_listed_or_read(chat: ChatFormat) -> None:
    free = FullActorPrompts("system", 0)  # its gate may rewrite the text
    assert LegalReplies(free, chat).verdicts is None
    with pytest.raises(ConfigError, match=r"'Perhaps', a verdict of Unsure, would not be read"):
        _ = LegalReplies(Unsure("system", 0), chat).verdicts


def test_prompts_full_ask_for_what_is_said() -> None:
    prompts = FullActorPrompts("system", 0)
    assert parse_action(prompts.naming("go to shelf 1"), ("go to shelf 1", "look")) == "go to shelf 1"
    told = prompts.opening(Observation("a wall", "leave", ("north",)))[0].content
    assert prompts.naming("ACTION") in told


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ("actor.ask.enabled=true", r"no legal action is a question.*Remedy: actor.ask.enabled: false"),
        ("run.schedule=async engine.kind=vllm", r"engine.kind = 'vllm' answers freely. Remedy: .*transformers"),
        ("run.schedule=async engine.kind=server", r"engine.kind = 'server' answers freely.*actor.replies: free"),
    ],
)
def test_parameters_that_it_cannot_be_had_with_are_refused(overrides: str, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"actor.replies = 'legal': {told}"):
        composed("quick", ["actor.replies=legal", *overrides.split()], CONF)


@pytest.mark.parametrize(("family", "form"), [("webshop", r"search\[{}\]"), ("swe", "{}")])
def test_a_family_that_takes_free_text_is_refused_by_name_before_anything_runs(family: str, form: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"family '{family}' of tasks.mix.walk takes {form}.*Remedy: actor.replies: free"
    ):
        check_actions_fit(legal_config(family))
    check_actions_fit(legal_config(family, observation="slots"))


def test_actions_of_several_lines_are_no_matter_for_prompts_that_end_at_a_line_break() -> None:
    values = compose("quick", ["actor.prompts=brief"], CONF)
    values["tasks"]["mix"] = {"walk": {"family": "swe", "max_steps": 5}}
    values["envs"] |= {"observation": "grid", "call_timeout_s": 400.0}
    with pytest.raises(
        ConfigError, match=r"actor.prompts = 'brief' .*'swe' of tasks.mix.walk .*Remedy: actor.prompts: full"
    ):
        check_actions_fit(from_mapping(values))


def test_what_cannot_be_listed_or_read_is_refused(chat: ChatFormat) -> None:
    legal = LegalReplies(FullActorPrompts("system", 0), chat)
    with pytest.raises(ConfigError, match=r"offers the free forms search\[{}\]. Remedy: actor.replies: free"):
        legal.among(Observation("a shop", actions=("click[back]",), forms=("search[{}]",)))
    with pytest.raises(ConfigError, match="offers no action by name"):
        legal.among(Observation("the end"))
    for unreadable in ("x" * 201, "a </answer> b", " ", "two\nlines </answer>"):
        with pytest.raises(ConfigError, match=r"would not be read as it\. Remedy: short names without tags"):
            legal.among(Observation("here", actions=("north", unreadable)))
    with pytest.raises(ConfigError, match=r"begins each reply with <think>.*Remedy: .*enable_thinking: false"):
        LegalReplies(FullActorPrompts("system", 0), chat_that_begins_with("<think>\\n"))
