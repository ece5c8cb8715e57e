"""Retrieval: reproducible in lockstep, diverse inside a group, batched, counted, and never waiting for ever."""

import asyncio
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.bank.choice import probabilities, rerank
from crl.bank.effect import Use
from crl.bank.retrieval import Retriever
from crl.bank.snapshot_reader import FrozenBank
from crl.config.play import RetrievalConfig
from crl.embedding.protocol import CachedEmbedder
from crl.errors import BankError
from crl.lockstep import Turnstile
from crl.seeding import stream
from tests.bank.samples import WordEmbedder, add, apply, open_bank

SITUATIONS = ["a dark room", "a dark hall", "a bright room with a key", "water and stones"]


@pytest.fixture
def bank(tmp_path):
    bank = open_bank(tmp_path)
    for i in range(12):
        apply(bank, f"c{i}", add(f"advice {i}"), key_text=SITUATIONS[i % 4])
    yield bank
    assert bank.verify() == []
    bank.close()


def in_the_publics_way(ids, shown, recent, penalty, demote, k):
    """Method 4.5 word by word: sort by score, ties by the better rank, maybe move a recent top to the end."""
    scores = [-q - penalty * math.log(1 + shown[i]) - (1 if recent[i] else 0) for q, i in enumerate(ids)]
    order = sorted(range(len(ids)), key=lambda q: (-scores[q], q))
    if order and recent[ids[order[0]]] and demote:
        order = order[1:] + order[:1]
    return [ids[q] for q in order][:k]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=20),
    st.floats(0, 3),
    st.booleans(),
    st.integers(1, 5),
)
def test_re_ranking_is_the_published_formula(state, penalty, demote, k):
    ids = list(range(len(state)))
    shown, recent = [s for s, _ in state], [r for _, r in state]
    ours = rerank(state, usage_penalty=penalty, demote_recent=0.5, uniform=lambda: 0.9 - 0.8 * demote, k=k)
    assert [one.rank for one in ours] == in_the_publics_way(ids, shown, recent, penalty, demote, k)


async def play_lockstep(folder, order_seed, rule):
    """Three rounds of groups of four; who arrives when is shuffled by `order_seed`."""
    bank = open_bank(folder)
    for i in range(12):
        apply(bank, f"c{i}", add(f"advice {i}"), key_text=SITUATIONS[i % 4])
    embedder, turnstile = WordEmbedder(), Turnstile()
    config = RetrievalConfig(candidates=4, cache_entries=2, rule=rule)
    retriever = Retriever(bank, config, embedder, seed=7, turnstile=turnstile)
    rng, answers = stream(order_seed, "arrival"), {}

    async def member(round_, group, index):
        with turnstile.participant():
            for _ in range(int(rng.integers(5))):
                await asyncio.sleep(0)
            key = f"r{round_}.g{group}.e{index}"
            found = await retriever.retrieve("maze", SITUATIONS[group], key=key, round=round_)
            answers[key] = [entry.text for entry in found]

    for round_ in range(3):
        members = [(round_, group, index) for group in range(4) for index in range(4)]
        await asyncio.gather(*(member(*members[i]) for i in rng.permutation(16)))
    digest, events = bank.snapshot(folder / "out"), bank.position
    assert all(len(batch) == 1 for batch in embedder.batches)
    assert bank.verify() == []
    bank.close()
    return answers, digest, events


@pytest.mark.parametrize("rule", ["newest", "thompson", "ucb"])
async def test_lockstep_gives_the_same_answers_whatever_the_order_of_arrival(tmp_path, rule):
    runs = [await play_lockstep(tmp_path / str(seed), seed, rule) for seed in range(4)]
    assert all(run == runs[0] for run in runs)
    assert runs[0][2] == 12 + 3  # one transaction per fire


async def test_members_of_one_group_get_different_entries(bank):
    retriever = Retriever(
        bank, RetrievalConfig(demote_recent=0, usage_penalty=2.0, batch_queries=4), WordEmbedder(), seed=7
    )
    keys = [f"r0.g0.e{i}" for i in range(4)]
    found = await asyncio.gather(*(retriever.retrieve("maze", SITUATIONS[0], key=key, round=0) for key in keys))
    assert len({entries[0].id for entries in found}) >= 3
    await retriever.drain()
    assert sum(entry.shown for entry in bank.entries()) == 4


async def test_entries_rest_for_the_configured_rounds_only(bank):
    retriever = Retriever(
        bank,
        RetrievalConfig(usage_penalty=0, demote_recent=1, recency_rounds=2, batch_wait_ms=0),
        WordEmbedder(),
        seed=7,
    )
    firsts = []
    for round_ in (0, 1, 10):
        found = await retriever.retrieve("maze", SITUATIONS[0], key=f"r{round_}", round=round_)
        firsts.append(found[0].id)
    assert firsts[0] != firsts[1]
    assert firsts[2] == firsts[0]


async def test_seconds_can_replace_rounds(bank):
    config = RetrievalConfig(usage_penalty=0, demote_recent=1, recency_rounds=0, recency_s=600, batch_wait_ms=0)
    retriever = Retriever(bank, config, WordEmbedder(), seed=7)
    found = [(await retriever.retrieve("maze", SITUATIONS[0], key=f"k{r}", round=r * 100))[0].id for r in range(2)]
    assert found[0] != found[1]


async def test_evaluation_neither_counts_nor_draws(bank):
    retriever = Retriever(bank, RetrievalConfig(batch_wait_ms=0), WordEmbedder(), seed=7)
    position = bank.position
    found = [await retriever.retrieve("maze", SITUATIONS[1], key=f"e{i}", round=-1) for i in range(5)]
    assert len({entries[0].id for entries in found}) == 1
    assert (bank.position, {entry.shown for entry in bank.entries()}) == (position, {0})


@pytest.fixture
def judged(bank):
    """The three that are nearest to the first situation: one helps, one harms, one was never measured."""
    helps, harms, unknown = (entry.id for entry in bank.entries() if entry.key_text == SITUATIONS[0])
    bank.record_uses(
        [Use(helps, 0, g, 4, 4, 4, 1) for g in range(8)] + [Use(harms, 0, g, 4, 0, 4, 3) for g in range(8)]
    )
    return helps, harms, unknown


async def test_what_helps_is_shown_most_and_each_showing_tells_its_probability(bank, judged):
    helps, harms, unknown = judged
    config = RetrievalConfig(rule="thompson", explore=0.2, candidates=3, batch_wait_ms=0)
    retriever = Retriever(bank, config, WordEmbedder(), seed=7)
    keys = [f"r1.g0.e{i}" for i in range(200)]
    found = await asyncio.gather(*(retriever.retrieve("maze", SITUATIONS[0], key=key, round=1) for key in keys))
    shown = bank.memory.shown
    share = {id_: sum(entries[0].id == id_ for entries in found) / len(found) for id_ in judged}
    newest_first = [unknown, harms, helps]
    told = dict(
        zip(
            newest_first,
            probabilities(
                "thompson", [bank.belief(id_) for id_ in newest_first], [1.0] * 3, similarity_weight=1.0, explore=0.2
            ),
            strict=True,
        )
    )
    assert {row.entry_id: row.probability for row in shown} == pytest.approx(told, abs=0.02)
    assert share == pytest.approx(told, abs=0.1)
    assert told[helps] > told[unknown] > told[harms] == pytest.approx(0.2 / 3)


async def test_evaluation_takes_what_is_believed_to_be_best_and_neither_explores_nor_counts(bank, judged, tmp_path):
    bank.snapshot(tmp_path / "out")
    for reads in (bank, FrozenBank(tmp_path / "out", "words")):
        config = RetrievalConfig(rule="thompson", explore=1.0, candidates=3, batch_wait_ms=0)
        retriever = Retriever(reads, config, WordEmbedder(), seed=7)
        found = [await retriever.retrieve("maze", SITUATIONS[0], key=f"e{i}", round=-1) for i in range(5)]
        assert {entries[0].id for entries in found} == {judged[0]}
        retriever.close()
    assert bank.memory.shown == []


async def test_batches_fire_by_count_or_by_time_and_embed_each_text_once(bank):
    embedder = WordEmbedder()
    retriever = Retriever(bank, RetrievalConfig(batch_queries=8, batch_wait_ms=20), embedder, seed=7)
    await asyncio.gather(*(retriever.retrieve("maze", SITUATIONS[i % 2], key=f"k{i}", round=0) for i in range(16)))
    metrics = retriever.metrics()
    assert (metrics["retrieve/queries"], metrics["retrieve/batch_size"]) == (16, 8)
    assert len([text for batch in embedder.batches for text in batch]) <= 4  # two at once may both miss
    await retriever.retrieve("maze", SITUATIONS[0], key="k", round=0)
    metrics = retriever.metrics()
    assert (metrics["retrieve/queries"], metrics["retrieve/cache_hits"], metrics["retrieve/empty"]) == (1, 1, 0)
    assert await retriever.retrieve("nowhere", "x", key="n", round=0) == []
    assert retriever.metrics()["retrieve/empty"] == 1


async def test_no_wait_is_without_a_deadline(bank):
    turnstile = Turnstile()
    retriever = Retriever(bank, RetrievalConfig(), WordEmbedder(), seed=7, turnstile=turnstile, deadline_s=0.05)
    with (
        turnstile.participant(),
        turnstile.participant(),
        pytest.raises(BankError, match=r"retrieval k: no answer within 0\.05 s"),
    ):
        await retriever.retrieve("maze", "x", key="k", round=0)


@pytest.mark.parametrize("lockstep", [True, False])
async def test_a_broken_embedder_is_told_to_everyone_who_waits(bank, lockstep):
    class Broken(WordEmbedder):
        def embed(self, texts, *, one_by_one=False):
            raise DeviceLost

    class DeviceLost(Exception):
        pass

    turnstile = Turnstile() if lockstep else None
    retriever = Retriever(bank, RetrievalConfig(batch_queries=3), Broken(), seed=7, turnstile=turnstile, deadline_s=20)

    async def ask(i):
        if turnstile is None:
            return await retriever.retrieve("maze", "x", key=f"k{i}", round=0)
        with turnstile.participant():
            return await retriever.retrieve("maze", "x", key=f"k{i}", round=0)

    results = await asyncio.gather(*(ask(i) for i in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [DeviceLost] * 3


async def test_a_cancelled_caller_disturbs_nobody(bank):
    retriever = Retriever(bank, RetrievalConfig(batch_wait_ms=5), WordEmbedder(), seed=7)
    tasks = [asyncio.create_task(retriever.retrieve("maze", "a dark room", key=f"k{i}", round=0)) for i in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [False, True, False]
    await retriever.drain()


def test_the_cache_keeps_the_most_recently_used_and_counts():
    inner = WordEmbedder()
    cache = CachedEmbedder(inner, entries=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        np.testing.assert_array_equal(cache.embed([text])[0], WordEmbedder().embed([text])[0])
    assert (cache.hits, inner.batches) == (2, [["a"], ["b"], ["c"], ["b"]])
