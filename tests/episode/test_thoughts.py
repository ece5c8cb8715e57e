"""Thoughts of passed turns (`actor.thoughts`): what is left of them in a prompt, and in which context each turn is trained."""

import asyncio
import copy
from collections.abc import Iterator
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from crl.config import Config
from crl.config.compose import composed
from crl.engine.protocol import Sampling
from crl.engine.transformers import TransformersEngine
from crl.envs.hosting.pool import EnvPool
from crl.episode.many import play_all
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.errors import ConfigError
from crl.learn.collate import Denominators, collate, rows_of
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.sequences import TrainingSequence, WeightedSequence, episode_sequence, sequence_without_experience
from crl.learn.trainer import Trainer
from crl.models.chat import ChatFormat, Message
from crl.replies.thoughts import after_thoughts, check_marks, passed_turn
from crl.round.commit import Progress
from crl.tasks.sets import request
from crl.types import Completion, Episode, EpisodeKey
from tests.episode.test_legal import untrained
from tests.episode.test_rollout import Library, config_for
from tests.learn.samples import adam
from tests.replies.test_thoughts import chat_that_begins_with
from tests.round.runs import CONF

OPENED = {"by the model": "", "by the template": "<think>\\n"}
Ids = tuple[int, ...]


def thinker(chat: ChatFormat, beginning: str) -> ChatFormat:
    """A chat format with Qwen3's marks; replies begin with `beginning` in the template."""
    tokenizer = copy.deepcopy(chat._tokenizer)
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.chat_template += (
        "{#- <think></think> -#}{%- if add_generation_prompt -%}{{ '" + beginning + "' }}{%- endif -%}"
    )
    return ChatFormat(tokenizer)


@cache
def thinking_config(thoughts: str = "drop", internalise: float = 0.0) -> Config:
    learn = config_for().learn.actor.model_dump() | {"internalise": internalise}
    config = config_for(rollout__episode_timeout_s=600.0, learn__actor=learn)
    return config.model_copy(update={"actor": config.actor.model_copy(update={"thoughts": thoughts})})


class Thinker:
    """An engine that says given ids, and remembers in which context it said each."""

    version = 0

    def __init__(self, replies: list[Ids]) -> None:
        self.replies, self.said = replies, []

    def session(self, key: str) -> "Thinking":
        return Thinking(self)


class Thinking:
    room = 10_000

    def __init__(self, engine: Thinker) -> None:
        self.engine, self.ids, self.left = engine, (), iter(engine.replies)

    async def __aenter__(self) -> "Thinking":
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    def rewind(self, tokens: int) -> None:
        assert 0 < tokens <= len(self.ids)
        self.ids = self.ids[:-tokens]

    async def generate(self, new_ids: Ids, sampling: Sampling, request_id: str) -> Completion:
        said = next(self.left)
        self.ids += new_ids
        self.engine.said.append((self.ids, said))
        self.ids += said
        return Completion(request_id, new_ids, said, (-0.5,) * len(said), "", "stop", 0)


def rollout(config: Config, chat: ChatFormat, engine, count: int = 1, **parts) -> list[Episode]:
    specs = [
        EpisodeSpec(EpisodeKey(0, 0, i), request(config, "walk", "train").task(i), bool(parts)) for i in range(count)
    ]
    with EnvPool(config.envs) as pool:
        return asyncio.run(play_all(Player(config, "run", engine, chat, pool, **parts), specs, live=count))


def trained(sequence: TrainingSequence) -> Iterator[tuple[Ids, Ids]]:
    """What the trainer's rows hold: each stretch of trained ids, after all that the model reads before it."""
    for row in rows_of([WeightedSequence(sequence, 1.0)]):
        context = sequence.input_ids[row.start : row.start + row.length + 1]
        at = list(row.positions - row.start)
        begins = [place for place in at if place - 1 not in at]
        ends = [place + 1 for place in at if place + 1 not in at]
        yield from ((context[:begin], context[begin:end]) for begin, end in zip(begins, ends, strict=True))


pieces = st.sampled_from(
    ["<think>", "</think>", "left", "jump", "\n", " ", "</", "think", ">", "é", "<answer>left</answer>"]
)
spoken = st.lists(st.tuples(st.lists(pieces, min_size=1, max_size=7), st.booleans()), min_size=6, max_size=6)
template = pytest.mark.parametrize("beginning", OPENED.values(), ids=OPENED)


@template
@settings(max_examples=50)
@given(replies=spoken)
def test_every_turn_is_trained_in_the_very_context_that_the_engine_had(chat: ChatFormat, beginning, replies) -> None:
    """Marks are tokens or spelled in letters, thoughts are none, many, empty or without an end."""
    talk = thinker(chat, beginning)
    ids = [
        tuple(i for piece in parts for i in talk._tokenizer(piece)["input_ids"]) + talk.closing * ends
        for parts, ends in replies
    ]
    engine = Thinker(ids)
    [episode] = rollout(thinking_config(), talk, engine)
    sequence = episode_sequence(episode)
    assert list(trained(sequence)) == engine.said
    assert [completion for _, completion in engine.said] == ids[: len(episode.turns)]
    opened = talk.decode(talk.open([Message("user", "")])).endswith("<think>\n")
    thought = [opened or "<think>" in text or "</think>" in text for text in map(talk.decode, ids)]
    assert len(sequence.starts) == 1 + sum(thought[: len(episode.turns) - 1])
    for context, _ in engine.said:  # no thought is left in it but the one that its end opens
        assert after_thoughts(talk.decode(context).removesuffix("<think>\n" if opened else "")) is not None
        assert talk.decode(context).count("<think>") == opened
    kept = Thinker(ids)
    [episode] = rollout(thinking_config("keep"), talk, kept)
    assert list(trained(episode_sequence(episode))) == kept.said
    assert episode_sequence(episode).starts == (0,)


@template
@given(parts=st.lists(pieces, min_size=1, max_size=9))
def test_what_is_left_of_a_reply_is_its_own_end_behind_the_thoughts(chat: ChatFormat, beginning, parts) -> None:
    talk = thinker(chat, beginning)
    prompt = talk.open([Message("user", "where?")])
    reply = tuple(i for piece in parts for i in talk._tokenizer(piece)["input_ids"])
    asked, said = passed_turn(prompt, reply, talk)
    text = talk.decode(reply)
    if not beginning and "think>" not in text:
        assert (asked, said) == (prompt, reply)
        return
    opened = "<think>\n" if beginning else ""
    assert talk.decode(prompt) == talk.decode(asked) + (opened if said != reply else "")
    assert reply[len(reply) - len(said) :] == said
    left = after_thoughts(opened + text)
    if "think>" in text or beginning:
        assert talk.decode(said) in (left, (left or "").lstrip())


def test_the_trainer_meets_the_engines_ratios_and_each_episode_counts_as_one(chat: ChatFormat) -> None:
    """A random model of a transformers engine, which thinks often; what is trained is what a checkpoint has kept."""
    talk = thinker(chat, "")

    def model():
        made = untrained(talk)
        opener, closer = (talk._tokenizer.convert_tokens_to_ids(mark) for mark in ("<think>", "</think>"))
        head = made.get_output_embeddings().weight.data
        head[opener], head[closer] = 6 * head[300], 8 * head[310]  # in some contexts the likeliest of all
        return made

    engine = TransformersEngine(
        model(), talk._tokenizer, end_ids=talk.end_ids, max_sessions=4, context_tokens=2048, turnstile=None
    )
    try:
        played = rollout(thinking_config(), talk, engine, count=6)
    finally:
        engine.close()
    stored = TypeAdapter(Progress)
    kept = stored.validate_json(stored.dump_json(Progress(for_actor=tuple(played)))).for_actor
    assert kept == tuple(played)
    batch = [WeightedSequence(episode_sequence(each), (-1.0) ** i) for i, each in enumerate(kept)]
    contexts = [len(item.sequence.starts) for item in batch]
    assert sum(contexts) > 2 * len(batch)
    sampled = sum(len(turn.completion.token_ids) for each in kept for turn in each.turns)
    first = Trainer(model(), adam(micro_batch_tokens=600), GrpoObjective(), device="cpu").update(batch, version=0)
    assert first["engine_mismatch_tokens"] == first["trained_tokens"] == sampled
    assert first["engine_mismatch_max"] < 1e-4
    assert (first["ratio_mean"], first["ratio_max"]) == pytest.approx((1.0, 1.0), abs=1e-4)
    part = collate(rows_of(batch), Denominators.of(batch), "sequence", device=torch.device("cpu"))
    for sign in (1.0, -1.0):  # three episodes each, of six, however many contexts they have
        assert float(part.token_weights[part.advantages == sign].sum()) == pytest.approx(0.5)


def test_what_is_internalised_loses_the_same_thoughts(chat: ChatFormat) -> None:
    talk = thinker(chat, "<think>\\n")
    config = thinking_config(internalise=0.5)
    ids = tuple(talk._tokenizer("so</think>\nright")["input_ids"])
    [guided] = rollout(config, talk, Thinker([ids] * 6), retriever=Library())
    [free] = rollout(config, talk, Thinker([ids] * 6))
    assert len(guided.turns) > 1
    assert sequence_without_experience(guided).starts == episode_sequence(free).starts
    assert sequence_without_experience(guided).input_ids == episode_sequence(free).input_ids


@pytest.mark.parametrize("override", ["actor.replies=legal", "models.actor.source=scratch"])
def test_an_actor_without_thoughts_is_refused(override: str) -> None:
    with pytest.raises(
        ConfigError, match=r"actor.thoughts = 'drop': with .* there are none. Remedy: actor.thoughts: keep"
    ):
        composed("quick", ["actor.thoughts=drop", "models.actor.source=some/model", override], CONF)


def test_weights_of_whole_episodes_are_refused_where_an_episode_has_several_contexts():
    changes = ["actor.thoughts=drop", "models.actor.source=some/model", "learn.actor.correction.level=sequence"]
    with pytest.raises(ConfigError, match=r"learn.actor.correction.level = 'sequence': .*Remedy: level: token"):
        composed("quick", changes, CONF)


@pytest.mark.parametrize("beginning", ["", "<think>\\n", "<|channel|>analysis"])
def test_a_model_whose_marks_are_no_tokens_is_refused(beginning: str) -> None:
    with pytest.raises(
        ConfigError, match=r"no token that ends a thought. Remedy: actor.thoughts: keep, or a model that"
    ):
        check_marks(chat_that_begins_with(beginning))


def test_a_template_that_opens_thoughts_in_letters_is_refused(chat: ChatFormat) -> None:
    tokenizer = thinker(chat, "<reasoning>")._tokenizer
    with pytest.raises(ConfigError, match="opens thoughts with <reasoning>, no token of its own"):
        check_marks(ChatFormat(tokenizer))
    check_marks(thinker(chat, "<think>\\n"))
    check_marks(thinker(chat, "<think>\\n\\n</think>\\n\\n"))
