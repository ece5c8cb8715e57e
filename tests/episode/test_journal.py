"""The journal of a round and `crl watch`, through the real entry point."""

import logging
import os
import re
import threading
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crl.cli import watch
from crl.cli.main import app
from crl.episode import journal
from crl.episode.journal import Ended, Journal, Reader, journal_file, rounds_of
from crl.episode.plan import EpisodeSpec
from crl.files import write_json
from crl.models.chat import ChatFormat
from crl.types import Completion, EpisodeKey, GateDecision, Guidance, Outcome, Turn, TurnKind
from tests.episode.test_rollout import Library, always, config_for, episodes
from tests.episode.test_tally import TASK, episode, spec, turn


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run that has just begun."""
    write_json(tmp_path / "run/run.json", {})
    return tmp_path / "run"


def watched(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["watch", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["watch", *map(str, arguments)])
    assert result.exit_code == 2
    return " ".join(result.output.split())


def rows_of(file: Path) -> list:
    with closing(Reader(file)) as reader:
        return list(reader.rows())


async def test_an_episode_is_told_from_its_key_to_its_outcome(chat: ChatFormat, run: Path) -> None:
    with closing(Journal(run / "episodes", 0, 1)) as written:
        [end], _ = await episodes(
            config_for(), chat, always("jump", "right"), guided=True, retriever=Library(), spectators=(written,)
        )
    told = watched(run, "--no-follow")
    assert re.search(r"round 0: 1 episodes\s+r0\.g0\.e0  walk  guided  walk/train/1\n", told)
    assert f"goal: {end.goal}\nexperience: keep to the right side (gate: off)\n" in told
    for number, each in enumerate(end.turns, 1):
        assert f"{number:3}  {each.observation}\n   > {each.completion.text}\n" in told
    assert "= not understood, reward 0, " in told
    assert "= right, reward 1, " in told
    assert told.rstrip().endswith(f"{end.final_observation}\nsuccess after {len(end.turns)} turns, reward 1")


async def test_what_was_played_elsewhere_is_written_down_as_what_was_played_here(chat: ChatFormat, run: Path) -> None:
    with closing(Journal(run / "here", 0, 1)) as here:
        [end], _ = await episodes(config_for(), chat, always("right"), spectators=(here,))
    with closing(Journal(run / "there", 0, 1)) as there:
        there.ended(end)
    assert rows_of(journal_file(run / "there", 0)) == rows_of(journal_file(run / "here", 0))


def test_episodes_at_once_are_told_one_after_the_other_and_by_half_and_key(run: Path) -> None:
    with closing(Journal(run / "episodes", 3, 3)) as written:
        specs = [EpisodeSpec(EpisodeKey(3, 0, index), TASK, guided=index > 0) for index in range(3)]
        for each in specs:
            written.began(each, "goal", Guidance("q", GateDecision.REJECT) if each.guided else None)
        for _ in range(2):
            for each in specs:
                written.took(each, turn())
    told = watched(run, "--no-follow")
    assert re.findall(r"r3\.g0\.e\d|^  \d", told, re.MULTILINE) == [
        piece for index in range(3) for piece in (f"r3.g0.e{index}", "  1", "  2")
    ]
    assert "experience: nothing (gate: reject)" in told
    for arguments, keys in (
        (("--guided",), ["e1", "e2"]), (("--free",), ["e0"]), (("--episode", "r3.g0.e1"), ["e1"]), (("--episode", "g0.e2"), ["e2"]),
        (("--round", "3"), ["e0", "e1", "e2"]),
    ):  # fmt: skip
        assert re.findall(r"r3\.g0\.(e\d)", watched(run, "--no-follow", *arguments)) == keys


def test_what_models_and_environments_write_can_neither_mark_up_nor_control_the_terminal(run: Path) -> None:
    hostile = "[bold red]x[/] \x1b[2J\x9b31m\u202e\x07"
    said = Completion("id", (1,), (2,), (0.0,), hostile, "stop", 0)
    with closing(Journal(run / "episodes", 0, 1)) as written:
        written.began(spec(0, guided=True), hostile, Guidance("q", GateDecision.OFF, shown=hostile))
        written.took(spec(0), Turn(TurnKind.ASK, hostile, said, hostile))
    told = watched(run, "--no-follow")
    assert told.count("[bold red]x[/] \ufffd[2J\ufffd31m\ufffd\ufffd") == 5
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", told)


def test_a_run_is_followed_over_its_rounds_also_over_one_that_is_begun_anew_until_it_is_complete(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, changed = [], threading.Condition()

    class Screen:
        def print(self, text, **_) -> None:
            with changed:
                shown.append(text.plain)
                changed.notify_all()

    def shows(text: str) -> bool:
        with changed:
            return changed.wait_for(lambda: any(text in each for each in shown), timeout=60)

    monkeypatch.setattr(watch, "console", Screen())
    monkeypatch.setattr(watch, "_POLL_S", 0.01)
    following = threading.Thread(target=watch.watch, args=(run, None, None, None, True), daemon=True)
    following.start()
    killed = Journal(run / "episodes", 0, 1)
    killed.began(spec(0), "the first goal", None)
    assert shows("the first goal")  # while the episode goes on
    with closing(Journal(run / "episodes", 0, 1)) as again:
        again.began(spec(0), "the goal again", None)
        again.took(spec(0), turn())
        assert shows("a corridor")
        again.ended(episode(0, Outcome.DEATH))
    with closing(Journal(run / "episodes", 1, 1)) as second:
        second.began(EpisodeSpec(EpisodeKey(1, 0, 0), TASK, False), "the last goal", None)
        assert shows("the last goal")
    write_json(run / "finished.json", {})
    following.join(60)
    assert not following.is_alive()
    assert [text for text in shown if text.startswith("round")] == ["round 0: 1 episodes"] * 2 + ["round 1: 1 episodes"]
    assert any("death after 4 turns" in text for text in shown)


def test_a_line_that_is_still_being_written_is_told_when_it_is_whole(tmp_path: Path) -> None:
    written = Journal(tmp_path, 0, 1)
    file = journal_file(tmp_path, 0)
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:20])
    with closing(Reader(file)) as reader:
        assert len(list(reader.rows())) == 1
        with file.open("ab") as stream:
            stream.write(whole[20:])
        assert len(list(reader.rows())) == 1
    written.close()


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--round", "7"), r"--round 7: .*holds rounds 0. Remedy: one of these"),
        (("nowhere",), r"nowhere: no run's folder. Remedy: start a run"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(run: Path, arguments, fault: str) -> None:
    Journal(run / "episodes", 0, 1).close()
    write_json(run / "finished.json", {})
    assert re.search(fault, refused(*(arguments if "nowhere" in arguments else (run, *arguments))))


def test_a_damaged_line_is_named_with_its_place(run: Path) -> None:
    Journal(run / "episodes", 0, 1).close()
    with journal_file(run / "episodes", 0).open("a") as stream:
        stream.write("{}\n")
    assert "round_0000.jsonl:3: no line of a journal" in refused(run, "--no-follow")


def test_a_disk_that_takes_no_more_ends_the_journal_and_not_the_run(tmp_path: Path, monkeypatch, caplog) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING), closing(Journal(tmp_path / "file", 0, 1)) as nothing:
        nothing.began(spec(0), "goal", None)
        nothing.ended(episode(0, Outcome.SUCCESS))
    assert "the run goes on" in caplog.text
    with closing(Journal(tmp_path, 0, 1)) as written:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, written._stream.fileno())
        os.close(full)
        written.began(spec(0), "goal", None)
        written.took(spec(0), turn())
    assert "No space left on device" in caplog.text


def test_a_round_and_a_run_write_no_more_than_their_bounds_and_the_oldest_rounds_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "ROUND_BYTES", 4000)
    monkeypatch.setattr(journal, "RUN_BYTES", 12000)
    for round_ in range(5):
        with closing(Journal(tmp_path, round_, 1)) as written:
            written.began(spec(0), "goal", None)
            for _ in range(100):
                written.took(spec(0), turn())
    assert rounds_of(tmp_path) == [2, 3, 4]
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 12500
    last = rows_of(journal_file(tmp_path, 4))[-1]
    assert last.full
    assert "was not written down" in watch.said(last).plain
    journal.forget_after(tmp_path, 2)
    assert rounds_of(tmp_path) == [2]


def test_a_lost_episode_is_told_with_what_it_was_lost_to(chat: ChatFormat) -> None:
    assert watch.said(Ended("r0.g0.e0", False, None, 0.0, 0, "engine: it is gone")).plain == "lost: engine: it is gone"
