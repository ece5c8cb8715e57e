"""What the page of a bank is made of: the same by ledger and by snapshots, and retrieval as evaluation does it."""

import asyncio
import base64
import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from crl.bank.retrieval import Retriever
from crl.bank.snapshot_reader import FrozenBank
from crl.cli import bank as cli
from crl.cli.bank_source import snapshots_of
from crl.config.play import RetrievalConfig
from crl.embedding import open as embedding
from crl.errors import DataError
from crl.report.bank_history import History
from crl.report.bank_page import page_data, write_bank_page
from tests.bank.made_up import make
from tests.bank.samples import WordEmbedder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("run"), rounds=12)


def data_in(page: Path) -> dict:
    [packed] = re.findall(r'id="data">([^<]*)<', page.read_text())
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def test_ledger_and_snapshots_tell_the_same_of_every_round(run: Path) -> None:
    by_ledger, by_snapshots = History.of_ledger(run / "bank"), History.of_snapshots(snapshots_of(run))
    for one, other in zip(by_ledger.moments, by_snapshots.moments, strict=True):
        assert (one.round, one.live) == (other.round, other.live)
        assert one.effects.keys() == other.effects.keys()
        for id_, effect in one.effects.items():
            assert (effect.mean, effect.low, effect.groups) == pytest.approx(
                (other.effects[id_].mean, other.effects[id_].low, other.effects[id_].groups)
            )
    assert by_snapshots.left.keys() <= by_ledger.left.keys()
    seen = {record.entry.id: record.entry for record in by_ledger.records}
    assert any(left.why.startswith("quarantine") for left in by_ledger.left.values())
    assert all(record.entry.text == seen[record.entry.id].text for record in by_snapshots.records)


@pytest.mark.parametrize("rule", ["newest", "thompson"])
@pytest.mark.parametrize("source", ["ledger", "snapshots"])
def test_a_known_situation_gets_what_evaluation_would_retrieve(run: Path, rule: str, source: str) -> None:
    config = RetrievalConfig(rule=rule, k=3, candidates=4)
    history = History.of_ledger(run / "bank") if source == "ledger" else History.of_snapshots(snapshots_of(run))
    data = page_data(history, config, (), ())
    embedder = WordEmbedder()
    retriever = Retriever(FrozenBank(run / "snapshots/round_0011", "words"), config, embedder, seed=1)
    situations = [text for _, text in history.situations()]
    assert np.allclose([*history.situations().values()], embedder.embed(situations))

    async def ask() -> list[list[str]]:
        wanted = [(data["tasks"][task], data["situations"][text]) for task, text, *_ in data["known"]]
        found = await asyncio.gather(
            *(retriever.retrieve(task, text, key=str(i), round=-1) for i, (task, text) in enumerate(wanted))
        )
        return [[entry.id for entry in entries] for entries in found]

    told = [[data["entries"]["id"][at] for at in pairs[::2]][:3] for *_, pairs, _ in data["known"]]
    assert len(told) == len(situations) > 10
    assert told == asyncio.run(ask())
    retriever.close()


def test_the_same_bank_is_the_same_page_byte_for_byte(run: Path, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        history = History.of_snapshots(snapshots_of(run))
        write_bank_page(history, tmp_path / name, retrieval=RetrievalConfig())
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_the_command_takes_a_run_its_snapshots_or_one_file(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "load_embedder", lambda name: WordEmbedder())

    def page(*arguments: object) -> dict:
        out = tmp_path / "bank.html"
        result = CliRunner().invoke(cli.app, ["page", *map(str, arguments), "--out", str(out)])
        assert result.exit_code == 0, result.exception
        return data_in(out)

    whole, by_snapshots = page(run), page(run / "snapshots")
    one = page(run / "snapshots/round_0003/bank.parquet", "--situation", "a place that nobody saw")
    assert (whole["source"], by_snapshots["source"], one["source"]) == ("ledger", "snapshots", "snapshots")
    assert [len(each["moments"]) for each in (whole, by_snapshots, one)] == [12, 12, 1]
    assert one["moments"][0] == by_snapshots["moments"][3]
    asked = [one["situations"][text] for _, text, _, by_person in one["known"] if by_person]
    assert asked == ["a place that nobody saw"] * 3  # one for each task
    result = CliRunner().invoke(cli.app, ["page", str(tmp_path), "--out", str(tmp_path / "bank.html")])
    assert isinstance(result.exception, DataError)
    assert "no bank in it" in str(result.exception)
