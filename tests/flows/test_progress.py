"""What a stage shows of its episodes: in a terminal, in a log, in Prefect's pages."""

import io
import time
from datetime import UTC, datetime

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console

from crl.cli import progress
from crl.cli.progress import duration, in_words
from crl.episode.tally import Tally
from crl.types import Outcome
from flows.stage import progress as stage_progress
from flows.stage.progress import StageProgress
from tests.episode.test_tally import episode, spec, turn
from tests.flows.probes import artifacts


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LOOK_S", 0.01)
    monkeypatch.setattr(stage_progress, "_PUBLISH_S", 0.2)


def half_played(what: str = "round 2") -> Tally:
    """Two of four episodes have ended; one of these succeeded."""
    tally = Tally(what, [spec(index) for index in range(4)], None, place="episodes")
    for index, outcome in enumerate((Outcome.SUCCESS, Outcome.TIMEOUT)):
        tally.began(spec(index), "goal", None)
        tally.took(spec(index), turn())
        tally.ended(episode(index, outcome))
    return tally


def looked_at(stage: StageProgress, *, seconds: float) -> None:
    """So long after the log's last line."""
    stage._logged_s = time.monotonic() - seconds
    stage.look()


def test_a_log_tells_of_episodes_at_most_every_half_minute_and_only_when_something_moved():
    stage = StageProgress("co_evolve", Console(file=(log := io.StringIO())), whole="rounds")
    stage("rounds", 2, 4)
    stage.follow(tally := half_played())
    looked_at(stage, seconds=1)
    assert "episodes" not in log.getvalue()
    looked_at(stage, seconds=30)
    told = log.getvalue().splitlines()[-1]
    assert told.startswith("co_evolve: round 2: 2 of 4 episodes, success free 50%, ")
    assert told.endswith(" left")
    assert " tokens/s, about " in told
    looked_at(stage, seconds=30)
    assert log.getvalue().splitlines()[-1] == told  # nothing has moved
    tally.ended(episode(2, Outcome.SUCCESS))
    looked_at(stage, seconds=1)
    assert log.getvalue().splitlines()[-1] == told  # and now it is too soon
    with stage.at("distil-0"):
        looked_at(stage, seconds=30)
    assert "3 of 4 episodes" in (last := log.getvalue().splitlines()[-1])
    assert last.endswith("; distil-0")


def test_a_terminal_has_a_bar_of_the_rounds_and_one_of_the_round_that_is_played():
    screen = Console(file=(drawn := io.StringIO()), force_terminal=True, width=100)
    stage = StageProgress("co_evolve", screen, whole="rounds")
    with stage._bars:
        stage("rounds", 2, 4)
        stage.follow(half_played("round 2"))
        stage.look()
        stage("rounds", 3, 4)
        stage.follow(half_played("round 3"))
        stage.look()
    last = [line for line in drawn.getvalue().splitlines() if "\u2501" in line][-2:]
    assert ["rounds" in last[0], "3/4" in last[0]] == [True, True]
    assert ["round 3" in last[1], "2/4" in last[1], "success free 50%" in last[1]] == [True, True, True]


async def test_the_page_shows_the_share_of_the_whole_and_where_the_round_stands(prefect_server, quickly):
    seen, began = [], datetime.now(UTC)

    async def page(wanted: float):
        for _ in range(600):
            [found] = await artifacts("probe-progress", began)
            if found.data == wanted:
                break
            time.sleep(0.05)
        return found

    @flow
    async def play() -> None:
        async with StageProgress("probe", Console(file=io.StringIO()), whole="rounds").shown() as stage:
            stage("rounds", 2, 4)
            stage.follow(half_played())
            seen.append(await page(62.5))  # while the event loop is busy: a thread publishes
        seen.append(await page(100.0))

    await play()
    assert [found.data for found in seen] == [62.5, 100.0]
    assert seen[0].description.startswith("probe: round 2: 2 of 4 episodes, success free 50%")


async def test_a_server_that_is_lost_ends_no_stage_and_is_told_once(quickly):
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        async with StageProgress("probe", Console(file=(log := io.StringIO()))).shown() as stage:
            stage.follow(half_played())
    assert log.getvalue().count("Prefect's page of this progress stands still") == 1


def test_estimates_are_told_to_two_figures():
    assert [duration(seconds) for seconds in (4.4, 89, 240, 5399, 9000)] == ["4 s", "89 s", "4 min", "90 min", "2.5 h"]
    assert (
        in_words("round 0", Tally("round 0", [spec(index) for index in range(8)], None).standing())
        == "round 0: 0 of 8 episodes"
    )
