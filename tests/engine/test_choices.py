"""Replies among choices: nothing else is said, and log-probs are those of the softmax over what may follow."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crl.engine.choices import Choices, Walk
from crl.engine.protocol import Sampling, fits
from crl.errors import EngineError
from crl.lockstep import Turnstile
from crl.seeding import stream
from tests.engine.conftest import CONTEXT_TOKENS

PROMPT = (10, 11, 12)
END = 9
# One is the beginning of another, some share one, one has no alternative but at its first token.
REPLIES = ((20, 21), (20, 21, 22), (20, 30, 22), (20, 30, 23, 24), (40, 41, 42))
CHOICES = Choices(REPLIES, END)

some_replies = st.sets(st.lists(st.integers(1, 4), max_size=4).map(tuple), min_size=1, max_size=12)


def next_ids(replies: Iterable[Sequence[int]], said: Sequence[int]) -> list[int]:
    """What may follow `said`, from the list of all replies."""
    at = len(said)
    return sorted({(*reply, END)[at] for reply in replies if (*reply, END)[:at] == tuple(said) and len(reply) >= at})


def brute_force(
    replies: Sequence[Sequence[int]], context: Sequence[int], ids: Sequence[int], logprobs_TV: torch.Tensor
) -> list[float]:
    """Log-prob of each of `ids`, a reply with its end, from log-probs over the vocabulary at every place of context + ids."""
    found = []
    for at, token in enumerate(ids):
        row_V = logprobs_TV[len(context) - 1 + at]
        found.append((row_V[token] - row_V[next_ids(replies, ids[:at])].logsumexp(-1)).item())
    return found


@given(some_replies, st.integers(0, 1000))
def test_all_choices_together_have_probability_one(replies: set[tuple[int, ...]], seed: int) -> None:
    choices, total = Choices(replies, END), 0.0
    for reply in replies:
        walk, logprob = Walk(choices), 0.0
        for at, token in enumerate((*reply, END)):
            assert list(walk.ids) == next_ids(replies, reply[:at])
            logits = stream(seed, *reply[:at]).normal(size=10)  # a model's, which depends on what was said
            logprob += logits[token] - math.log(sum(math.exp(logits[each]) for each in walk.ids))
            walk.take(token)
        assert walk.ids == ()
        assert len(walk.allowed) == len(reply) + 1
        total += math.exp(logprob)
    assert total == pytest.approx(1.0)


@given(some_replies, st.randoms())
def test_what_has_no_alternative_is_said_at_once_and_leads_to_a_choice(replies: set[tuple[int, ...]], random) -> None:
    walk, said = Walk(Choices(replies, END)), []
    said += walk.forced(to_the_end=False)
    while walk.ids:
        said.append(random.choice(walk.ids))
        walk.take(said[-1])
        said += walk.forced(to_the_end=True)
        assert len(walk.ids) != 1
    assert tuple(said[:-1]) in replies
    assert said[-1] == END


@pytest.mark.parametrize("replies", [(), ((20, END), (30,))])
def test_choices_of_none_or_with_the_end_inside_are_no_choices(replies) -> None:
    with pytest.raises(ValueError, match="Remedy: one at least, none with the end in it"):
        Choices(replies, END)


@pytest.mark.parametrize("schedule", ["lockstep", "async"])
@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.7, "top_p": 0.9}, {"temperature": 2.0, "top_k": 2}, {"temperature": 0}]
)
def test_only_choices_come_out_with_the_log_probs_of_their_own_distribution(
    make_engine, play, reference_logprobs, schedule, options
) -> None:
    """Beside free replies, over two turns, whatever max_new_tokens and stop say: those are for free replies."""
    turnstile = Turnstile() if schedule == "lockstep" else None
    constrained = Sampling(among=CHOICES, max_new_tokens=1, stop=("o",), **options)
    plans = {
        f"s{i}": [(PROMPT, replace(constrained, seed=i)), ((13, 14), replace(constrained, seed=100 + i))]
        for i in range(12)
    }
    free = {f"f{i}": [(PROMPT, Sampling(seed=i, max_new_tokens=5, **options))] for i in range(6)}
    played = play(make_engine(turnstile, end_ids=[END], max_sessions=32), turnstile, plans | free)
    for key in plans:
        for turn, completion in enumerate(played[key].completions):
            ids, before = completion.token_ids, played[key].ids_before(turn)
            assert ids[:-1] in REPLIES
            assert (ids[-1], completion.stop_reason) == (END, "stop")
            assert [list(each) for each in completion.allowed] == [
                next_ids(REPLIES, ids[:at]) for at in range(len(ids))
            ]
            expected = brute_force(REPLIES, before, ids, reference_logprobs([*before, *ids], completion.temperature))
            assert completion.logprobs == pytest.approx(expected, abs=2e-5)
            assert all(
                p == 0.0 for p, each in zip(completion.logprobs, completion.allowed, strict=True) if len(each) == 1
            )
    turnstile = Turnstile() if schedule == "lockstep" else None
    alone = play(make_engine(turnstile, end_ids=[END], max_sessions=32), turnstile, free)
    for key in free:  # what is constrained changes nothing for its batch mates
        assert played[key].completions[0].token_ids == alone[key].completions[0].token_ids
        assert played[key].completions[0].allowed == ()


def test_each_choice_comes_as_often_as_its_log_prob_says(make_engine, play, reference_logprobs) -> None:
    turnstile, count = Turnstile(), 600
    plans = {f"s{i}": [(PROMPT, Sampling(among=CHOICES, seed=i))] for i in range(count)}
    played = play(make_engine(turnstile, end_ids=[END], max_sessions=count), turnstile, plans)
    seen = Counter(each.completions[0].token_ids[:-1] for each in played.values())
    for reply in REPLIES:
        ids = (*reply, END)
        logprob = sum(brute_force(REPLIES, PROMPT, ids, reference_logprobs([*PROMPT, *ids], 1.0)))
        assert seen[reply] / count == pytest.approx(math.exp(logprob), abs=0.07)  # 3.4 standard deviations at 0.5


async def test_a_lone_choice_is_said_and_whoever_listens_hears_every_token(make_engine) -> None:
    engine, heard = make_engine(end_ids=[END]), []
    async with engine.session("s") as session:
        lone = Sampling(among=Choices([(20, 21)], END))
        completion = await session.generate(PROMPT, lone, "r", heard.append)
        again = await session.generate((13,), Sampling(among=CHOICES, seed=1), "r2", heard.append)
        assert session.room == CONTEXT_TOKENS - len(PROMPT) - 1 - len(heard)
    assert completion.token_ids == (20, 21, END)
    assert (completion.logprobs, completion.allowed) == ((0.0,) * 3, ((20,), (21,), (END,)))
    assert heard == [*completion.token_ids, *again.token_ids]


async def test_no_choice_is_ever_cut_by_the_end_of_the_context(make_engine) -> None:
    engine = make_engine(end_ids=[END])
    room = CONTEXT_TOKENS - CHOICES.longest
    for length, taken in ((room, True), (room + 1, False)):
        async with engine.session(f"s{length}") as session:
            prompt, sampling = (10,) * length, Sampling(among=CHOICES, seed=2)
            assert fits(session, prompt, CHOICES) is taken
            if taken:
                assert (await session.generate(prompt, sampling, "r")).token_ids[:-1] in REPLIES
            else:
                with pytest.raises(EngineError, match="room for 96 of 96 tokens, got 92, and 5 must be left"):
                    await session.generate(prompt, sampling, "r")


async def test_what_an_engine_cannot_do_is_refused_and_never_left_out(make_engine) -> None:
    engine = make_engine(end_ids=[END])
    async with engine.session("s") as session:
        with pytest.raises(EngineError, match="got token ids from 9 to 100000, the model knows 0 to"):
            await session.generate(PROMPT, Sampling(among=Choices([(100_000,)], END)), "r")
        engine.constrains = False  # as engines of other kinds are
        with pytest.raises(EngineError, match=r"cannot draw among choices.*Remedy: engine.kind: transformers"):
            await session.generate(PROMPT, Sampling(among=CHOICES), "r")
