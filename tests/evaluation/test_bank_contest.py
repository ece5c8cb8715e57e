"""`crl bank contest`: two banks guide one actor on the same levels, and what is told of them is what was played."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from crl.bank.bank import Bank
from crl.cli import bank as cli
from crl.cli import bank_contest
from crl.config import Config, from_mapping
from crl.config.compose import compose, dump
from crl.config.play import AskConfig, GateConfig
from crl.embedding.open import load_embedder
from crl.embedding.protocol import Embedder
from crl.episode.tally import SILENT, Progress
from crl.errors import BankError, ConfigError, CrlError, DataError
from crl.evaluation.bank_contest import BankContest, contest
from crl.evaluation.held_out import Candidate, evaluate
from crl.evaluation.paired import paired
from crl.evaluation.statistics import EpisodeRow
from crl.files import round_folder, write_json
from crl.tasks.sets import TaskSets
from tests.bank.samples import add, apply, open_bank
from tests.episode.followed import Followed
from tests.flows.agents import ADVICE, write_bank, write_models

CONF = Path(__file__).parents[2] / "conf"
OTHER = "stay near the stairs and wait"


@pytest.fixture(scope="module")
def config() -> Config:
    small = ["tasks.eval_levels=3", "models.actor.layers=1", "models.extractor.layers=1", "envs.workers=0"]
    values = compose("quick", [*small, "evaluate.bootstrap_samples=100"], CONF)
    values["tasks"]["mix"] = {name: values["tasks"]["mix"][name] | {"max_steps": 6} for name in ("room", "keyroom")}
    return from_mapping(values)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return load_embedder("minilm")


@pytest.fixture(scope="module")
def run(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two rounds, whose banks say different things; and `models` beside it."""
    folder = tmp_path_factory.mktemp("run")
    write_models(folder / "models", config, seed=1)
    write_json(folder / "run.json", {"config": config.model_dump(mode="json")})
    for round_, advice in enumerate((ADVICE, OTHER)):
        write_bank(round_folder(folder / "snapshots", round_), advice)
    return folder


@pytest.fixture(scope="module")
def play(config: Config, run: Path, embedder: Embedder):
    levels = TaskSets.generate(config).evaluation

    def played(old: int, new: int, progress: Progress, **changes: object) -> BankContest:
        banks = [round_folder(run / "snapshots", round_) for round_ in (old, new)]
        agent = Candidate("after", run / "models/actor", run / "models/extractor", banks[0])
        changed = config.model_copy(update=changes)
        return contest(changed, levels, agent, banks[1], embedder, progress)

    return played


@pytest.fixture(scope="module")
def made(play) -> BankContest:
    return play(0, 1, SILENT)


def said(episodes) -> list[list[tuple[int, ...]]]:
    return [[turn.completion.token_ids for turn in episode.turns] for episode in episodes]


def test_a_bank_against_itself_is_the_same_play_twice_and_no_difference_at_all(play, config):
    gate, ask = GateConfig(max_new_tokens=4), AskConfig(max_new_tokens=4)
    same = play(1, 1, followed := Followed(), actor=config.actor.model_copy(update={"gate": gate, "ask": ask}))
    assert followed.names == ["without experience", "old bank", "new bank"]  # the gate is told of the first
    assert said(same.old) == said(same.new)
    assert same.shown_differently == 0
    assert [one.task for one in same.compared] == ["keyroom", "room", "all"]
    assert {(one.gain, one.verdict, one.new - one.old) for one in same.compared} == {(0.0, "not told apart", 0.0)}


def test_both_sides_play_the_same_levels_and_where_nothing_else_is_shown_the_same_episodes(made):
    assert [(one.key, one.task) for one in made.old] == [(one.key, one.task) for one in made.new]
    assert len(made.pairs) == 6
    assert {one.levels for one in made.compared[:2]} == {3}
    keyroom = [
        (old, new) for old, new in made.pairs if old.task.name == "keyroom"
    ]  # of which neither bank knows anything
    assert all(said([old]) == said([new]) for old, new in keyroom)
    room = [(old, new) for old, new in made.pairs if old.task.name == "room"]
    assert {(old.guidance.shown, new.guidance.shown) for old, new in room} == {(ADVICE, OTHER)}
    assert made.shown_differently == len(room) == 3


def test_each_side_is_what_the_evaluation_plays_with_that_bank(config, run, made):
    agent = Candidate("after", run / "models/actor", run / "models/extractor", round_folder(run / "snapshots", 1))
    report = evaluate(config, TaskSets.generate(config).evaluation, [agent])
    rows = [(row.level_id, row.success, row.actions) for row in report.rows if row.arm == "guided"]
    assert rows == [(one.task.id, one.success, one.env_steps) for one in made.new]


def rows(won: list[bool], task: str = "room") -> list[EpisodeRow]:
    return [EpisodeRow(task, f"{task}{i}", "guided", "after", success, 5) for i, success in enumerate(won)]


def test_the_verdict_needs_the_whole_interval_on_one_side_of_zero(config):
    clear = paired(rows([True] * 20), rows([False] * 20), config)[-1]
    assert (clear.verdict, clear.gain, clear.levels) == ("better", 1.0, 20)
    assert [clear.meets(requirement) for requirement in ("better", "not_worse")] == [True, True]
    worse = paired(rows([False] * 20), rows([True] * 20), config)[-1]
    assert (worse.verdict, worse.gain) == ("worse", -1.0)
    assert [worse.meets(requirement) for requirement in ("better", "not_worse")] == [False, False]
    lucky = paired(rows([True]), rows([False]), config)[-1]
    assert lucky.verdict == "not told apart"
    assert [lucky.meets(requirement) for requirement in ("better", "not_worse")] == [False, True]
    with pytest.raises(DataError, match=r"share no level.*Remedy"):
        paired(rows([True]), rows([True], "maze"), config)


def call(*arguments: object, ok: int = 0) -> Result:
    result = CliRunner().invoke(cli.app, ["contest", *map(str, arguments)])
    assert result.exit_code == ok, (result.output, result.exception)
    return result


def refused(*arguments: object) -> CrlError:
    error = CliRunner().invoke(cli.app, ["contest", *map(str, arguments)]).exception
    assert isinstance(error, CrlError), error
    assert "Remedy: " in str(error)
    return error


@pytest.fixture
def options(run: Path) -> Iterator[tuple[object, ...]]:
    return "--run", run, "--models", run / "models"


def test_the_command_tells_both_sides_by_task_and_its_verdict(options, made, monkeypatch):
    monkeypatch.setattr(bank_contest, "console", bank_contest.Console(width=120))
    out = call(0, 1, *options).stdout
    for part in (
        "success with 0 (old) and 1 (new)",
        "keyroom",
        "room",
        "all",
        "95% interval",
        made.compared[-1].verdict,
    ):
        assert part in out
    assert "different texts in 3 of 6 episodes" in out


def test_a_script_reads_json_and_the_exit_status_of_what_it_requires(options, run):
    few = (*options, "--task", "room", "--levels", 4)
    result = call(1, run / "snapshots/round_0001/bank.parquet", *few, "--json", "--require", "not_worse")
    told = json.loads(result.stdout)
    assert (told["verdict"], told["episodes"], told["shown_differently"]) == ("not told apart", 4, 0)
    assert {name: one["levels"] for name, one in told["tasks"].items()} == {"room": 4, "all": 4}
    assert "--require better: 1 is not told apart" in call(1, 1, *few, "--require", "better", ok=1).stderr


def test_a_bank_is_named_as_the_other_commands_name_it(run, embedder, tmp_path, config):
    with_ledger = tmp_path / "edited"
    bank = Bank(with_ledger / "bank", config.bank, embedder, run_id="run", seed=7)
    apply(bank, "c1", add("go east"), add("go west"), scope="room")
    bank.snapshot(round_folder(with_ledger / "snapshots", 0))
    bank.quarantine(bank.entries()[0].id, "by hand", round=0)
    bank.close()
    names = {
        "0": 2, str(with_ledger): 1, str(with_ledger / "bank"): 1, str(with_ledger / "snapshots"): 2,
        str(run / "snapshots/round_0001"): 1, str(run / "snapshots/round_0001/bank.parquet"): 1,
    }  # fmt: skip
    assert {name: len(cli.Contents.named(name, with_ledger).records) for name in names} == names


def test_what_cannot_be_compared_is_refused_before_anything_is_played(options, run, tmp_path, config):
    models = options[2:]
    assert f"7: {run} has no snapshot of that round. Remedy: a round from 0 to 1" in str(refused(0, 7, *options))
    assert isinstance(refused(0, tmp_path / "nowhere", *options), DataError)
    assert "--task attic: not in tasks.mix. Remedy: choose from keyroom, room" in str(
        refused(0, 1, *options, "--task", "attic")
    )
    assert isinstance(error := refused(0, 1, "--run", run, "--models", tmp_path), ConfigError)
    assert f"--models {tmp_path}: no folder actor in it" in str(error)

    words = open_bank(tmp_path / "words")
    assert isinstance(error := refused(0, tmp_path / "words", *options), BankError)
    assert "the bank is empty" in str(error)
    apply(words, "c1", add("go up"), scope="room")
    words.close()
    assert isinstance(error := refused(0, tmp_path / "words", *options), DataError)
    assert f"{tmp_path}/words: keys of embedder 'words', and models.embedder is 'minilm'" in str(error)

    oracle = config.actor.model_copy(update={"guidance": "oracle"})
    values = config.model_copy(update={"actor": oracle}).model_dump(mode="json")
    values["extractor"]["until_round"] = 0
    (tmp_path / "oracle.yaml").write_text(dump(values))
    named = [run / "snapshots/round_0000", run / "snapshots/round_0001", "--params", tmp_path / "oracle.yaml"]
    assert "actor.guidance = 'oracle': no bank guides" in str(refused(*named, *models))
