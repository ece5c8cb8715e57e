"""The one episode loop, over real environments, prompts and token ids; only the model's words are given."""

import asyncio
import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from crl.actor.gate import TaskRecord
from crl.config import Config, from_mapping
from crl.config.compose import compose
from crl.engine.protocol import Sampling
from crl.envs.hosting.pool import EnvPool
from crl.episode.many import play_all
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.errors import EngineError
from crl.learn.sequences import episode_sequence
from crl.models.chat import ChatFormat
from crl.round.accounting import rollout_metrics
from crl.tasks.sets import request
from crl.types import (
    Completion,
    Episode,
    EpisodeFailure,
    EpisodeKey,
    Experience,
    FailureCause,
    GateDecision,
    Origin,
    Outcome,
    TurnKind,
)
from tests.round.runs import CONF

ADVICE = Experience("entry", "walk", "keep to the right side", "", Origin("completion", "", 0, "distil"))
Words = Callable[[str], Iterator[str]]  # session key -> what the model says, turn by turn


def config_for(level: str = "corridor", **changes: object) -> Config:
    values = compose("quick", folder=CONF)
    values["tasks"]["mix"] = {"walk": {"family": "tests.envs.toy_envs:Corridor", "level": level, "max_steps": 6}}
    values["envs"]["workers"] = 0
    values["rollout"] |= {
        "attempts": 2,
        "episode_timeout_s": 60.0,
        "sampling": values["rollout"]["sampling"] | {"max_new_tokens": 32},
    }
    for path, value in changes.items():
        section, _, name = path.partition("__")
        values[section][name] = value
    return from_mapping(values)


class Speaker:
    """An engine whose sessions say given words; it records the ids it was fed."""

    version = 3

    def __init__(self, chat: ChatFormat, words: Words, room: int = 400) -> None:
        self.chat, self.words, self.start_room = chat, words, room
        self.fed: dict[str, list[int]] = {}

    def session(self, key: str) -> "Voice":
        return Voice(self, key)


class Voice:
    def __init__(self, speaker: Speaker, key: str) -> None:
        self.speaker, self.key, self.room = speaker, key, speaker.start_room
        self.lines = speaker.words(key)
        speaker.fed[key] = []

    async def __aenter__(self) -> "Voice":
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def generate(self, new_ids: tuple[int, ...], sampling: Sampling, request_id: str) -> Completion:
        await asyncio.sleep(0)
        text = next(self.lines)
        if text == "RAISE":
            raise EngineError("the engine is gone")
        if text == "HANG":
            await asyncio.sleep(3600)
        ids = self.speaker.chat.encode(text)
        self.speaker.fed[self.key] += [*new_ids, *ids]
        self.room -= len(new_ids) + len(ids)
        return Completion(request_id, new_ids, ids, (-0.5,) * len(ids), text, "length", self.speaker.version)


class Library:
    """The bank's read side with one entry."""

    def __init__(self, entries: list[Experience] | None = None) -> None:
        self.entries = [ADVICE] if entries is None else entries
        self.asked: list[tuple[str, str]] = []

    async def retrieve(self, scope: str, text: str, *, key: str, round: int) -> list[Experience]:
        self.asked.append((key, text))
        return self.entries


def always(*lines: str) -> Words:
    """Each session says these lines, then the last one for ever."""

    def words(key: str) -> Iterator[str]:
        yield from lines
        while True:
            yield lines[-1]

    return words


async def episodes(
    config: Config, chat: ChatFormat, words: Words, *, guided: bool = False, count: int = 1, room: int = 400, **parts
):
    specs = [
        EpisodeSpec(EpisodeKey(0, 0, index), request(config, "walk", "train").task(1), guided) for index in range(count)
    ]
    speaker = Speaker(chat, words, room)
    with EnvPool(config.envs) as pool:
        player = Player(config, "run", speaker, chat, pool, **parts)
        ends = await play_all(player, specs, live=count)
    return ends, speaker


async def test_what_is_trained_on_is_exactly_what_the_engine_saw_and_said(chat: ChatFormat) -> None:
    ends, speaker = await episodes(config_for(), chat, always("left", "jump", "right"))
    sequence = episode_sequence(ends[0])
    assert list(sequence.input_ids) == speaker.fed["r0.g0.e0"]
    said = [chat.decode([i]) for i, on in zip(sequence.input_ids, sequence.loss_mask, strict=True) if on]
    assert "".join(said).startswith("leftjumpright")


async def test_success_is_reward_one_and_ends_the_episode(chat: ChatFormat) -> None:
    [end], _ = await episodes(config_for(), chat, always("right"))
    assert (end.outcome, end.reward, end.success) == (Outcome.SUCCESS, 1.0, True)
    assert end.final_observation
    assert end.oldest_version == 3


async def test_an_invalid_action_costs_a_turn_and_no_step(chat: ChatFormat) -> None:
    [end], _ = await episodes(config_for(), chat, always("jump"))
    assert end.outcome is Outcome.TIMEOUT
    assert [turn.kind for turn in end.turns] == [TurnKind.INVALID] * 6
    assert end.env_steps == 0


async def test_a_full_context_is_a_truncation_not_a_failure_of_the_task(chat: ChatFormat) -> None:
    [end], _ = await episodes(config_for(), chat, always("left", "right"), room=60)
    assert end.outcome is Outcome.TRUNCATED
    assert end.reward == 0


async def test_free_episodes_never_reach_the_bank_whatever_they_say(chat: ChatFormat) -> None:
    config, library = config_for(actor__ask={"enabled": True, "max_uses": 2, "max_new_tokens": 32}), Library()
    expert = Speaker(chat, always("help")), chat
    words = always("<search_and_ask> how? </search_and_ask>", "right")
    [end], _ = await episodes(config, chat, words, guided=False, retriever=library, expert=expert)
    assert library.asked == []
    assert end.guidance is None
    assert end.asks == ()
    assert end.turns[0].kind is TurnKind.INVALID
    assert "search_and_ask" not in chat.decode(end.turns[0].completion.prompt_ids)


async def test_a_guided_episode_is_shown_the_experience_and_says_what_it_was_shown(chat: ChatFormat) -> None:
    [end], _ = await episodes(config_for(), chat, always("right"), guided=True, retriever=Library())
    assert end.guidance.decision is GateDecision.OFF
    assert end.guidance.entry_ids == ("entry",)
    assert ADVICE.text in chat.decode(end.turns[0].completion.prompt_ids)
    assert sum(episode_sequence(end).loss_mask) == len(end.turns[0].completion.token_ids) * len(end.turns)


async def test_an_empty_bank_injects_nothing(chat: ChatFormat) -> None:
    [end], _ = await episodes(config_for(), chat, always("right"), guided=True, retriever=Library([]))
    assert end.guidance.decision is GateDecision.EMPTY
    assert "advice" not in chat.decode(end.turns[0].completion.prompt_ids)


@pytest.mark.parametrize(
    ("reply", "decision", "shown"),
    [
        ("accept", GateDecision.ACCEPT, ADVICE.text),
        ("refine walk to the right", GateDecision.REFINE, "walk to the right"),
        ("reject", GateDecision.REJECT, None),
        ("perhaps", GateDecision.UNPARSABLE, None),
    ],
)
async def test_the_gate_decides_what_is_shown_and_is_never_trained(
    chat: ChatFormat, reply: str, decision: GateDecision, shown: str | None
) -> None:
    config = config_for(actor__gate={"enabled": True, "max_new_tokens": 32})
    records = {"walk": TaskRecord(0.5, 8)}

    def words(key: str) -> Iterator[str]:
        return always(reply)(key) if key.endswith("/gate") else always("right")(key)

    [end], speaker = await episodes(config, chat, words, guided=True, retriever=Library(), records=records)
    assert (end.guidance.decision, end.guidance.shown) == (decision, shown)
    assert end.guidance.entry_ids == ("entry",)
    assert list(episode_sequence(end).input_ids) == speaker.fed["r0.g0.e0"]
    assert speaker.fed["r0.g0.e0/gate"]


async def test_the_ask_tool_answers_guided_episodes_within_its_budget(chat: ChatFormat) -> None:
    config = config_for(actor__ask={"enabled": True, "max_uses": 1, "max_new_tokens": 32})
    library = Library()
    expert = Speaker(chat, always("<answer>go to the right</answer>")), chat
    question = "<search_and_ask> which way? </search_and_ask>"
    [end], _ = await episodes(
        config, chat, always(question, question, "right"), guided=True, retriever=library, expert=expert
    )
    assert [turn.kind for turn in end.turns[:2]] == [TurnKind.ASK, TurnKind.INVALID]
    assert [use.query for use in end.asks] == ["which way?"]
    assert end.asks[0].answer == "go to the right"
    assert "go to the right" in chat.decode(end.turns[1].completion.prompt_ids)
    assert end.success


async def test_experience_that_leaves_the_actor_no_room_is_not_shown_and_the_episode_is_played(
    chat: ChatFormat,
) -> None:
    config = config_for()
    [free], _ = await episodes(config, chat, always("right"))
    [end], _ = await episodes(
        config, chat, always("right"), guided=True, retriever=Library([replace(ADVICE, text="right " * 300)])
    )
    assert (end.guidance.decision, end.guidance.shown) == (GateDecision.TOO_LONG, None)
    assert end.guidance.entry_ids == ("entry",)
    assert end.success
    assert episode_sequence(end).input_ids == episode_sequence(free).input_ids
    assert rollout_metrics([end])["gate/too_long"] == 1


async def test_an_experience_that_is_not_injected_is_not_called_shown(chat: ChatFormat) -> None:
    config = config_for(actor__inject="none")
    [end], _ = await episodes(config, chat, always("right"), guided=True, retriever=Library())
    assert end.guidance.shown is None
    assert ADVICE.text not in chat.decode(end.turns[0].completion.prompt_ids)


@pytest.mark.parametrize(
    ("level", "words", "cause"),
    [
        ("trouble", "crash", FailureCause.ENV_CRASH),
        ("broken", "right", FailureCause.ENV_CONTRACT),
        ("corridor", "RAISE", FailureCause.ENGINE),
    ],
)
async def test_what_infrastructure_loses_is_a_typed_failure_after_its_retries(
    chat: ChatFormat, level: str, words: str, cause: FailureCause
) -> None:
    [end], _ = await episodes(config_for(level), chat, always(words))
    assert isinstance(end, EpisodeFailure)
    assert (end.cause, end.attempts) == (cause, 2)


async def test_a_hanging_engine_costs_one_episode_its_deadline(chat: ChatFormat) -> None:
    config = config_for(rollout__episode_timeout_s=1.5)  # which the others keep

    def words(key: str) -> Iterator[str]:
        return always("HANG")(key) if key.endswith("e1") else always("right")(key)

    ends, _ = await episodes(config, chat, words, count=3)
    assert [isinstance(end, Episode) for end in ends] == [True, False, True]
    assert ends[1].cause is FailureCause.EPISODE_TIMEOUT


async def test_a_draft_in_a_thought_is_not_played_also_where_the_template_opens_the_thought(chat: ChatFormat) -> None:
    [end], _ = await episodes(config_for(), chat, always("<think> <answer>right</answer> ... no"))
    assert [turn.kind for turn in end.turns] == [TurnKind.INVALID] * 6
    tokenizer = copy.deepcopy(chat._tokenizer)
    tokenizer.chat_template += "{%- if add_generation_prompt -%}{{ '<think>' }}{%- endif -%}"
    words = always("<answer>left</answer> ... no", "<answer>left</answer> or </think> <answer>right</answer>")
    [end], _ = await episodes(config_for(), ChatFormat(tokenizer), words)
    assert [turn.action for turn in end.turns[:2]] == [None, "right"]
    assert end.outcome is Outcome.SUCCESS
