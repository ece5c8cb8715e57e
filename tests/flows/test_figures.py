"""What a team's monitoring is told of a running round: scraped over HTTP, and read by Prometheus's own parser."""

import io
import socket
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from crl.cli.progress import Display
from crl.config import Config
from crl.config.addresses import MetricsAddress
from crl.errors import ConfigError
from crl.round.report import RoundReport
from flows.stage.figures import Figures, served
from tests.flows.test_progress import half_played


def scraped(address: str) -> dict[str, float]:
    """Sample -> value; labels in braces, as they are written."""
    with urlopen(f"http://{address}/metrics", timeout=60) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = [sample for family in families for sample in family.samples]
    return {
        sample.name + "".join(f"{{{label}={value}}}" for label, value in sorted(sample.labels.items())): sample.value
        for sample in samples
    }


@pytest.fixture
def progress() -> Display:
    return Display("co_evolve", Console(file=io.StringIO()), "rounds")


def test_a_scrape_tells_the_run_the_round_that_is_played_and_the_last_one(quick: Config, progress: Display) -> None:
    figures, told = Figures(quick, "abcdef012345", progress), []
    with served(figures, MetricsAddress("127.0.0.1", 0, "servers.metrics"), told.append):
        address = told[0].split("http://")[1].removesuffix("/metrics")
        assert scraped(address) == {
            "crl_run_info{lineage=abcdef012345}{profile=quick}{schedule=lockstep}": 1,
            "crl_rounds_committed": 0,
            "crl_rounds_planned": 0,
        }
        progress("rounds", 2, 4)
        progress.follow(tally := half_played())
        figures.committed(RoundReport(1, {"bank/size": 7.0, "extractor/loss": float("nan")}, ""), at_s=1.5e9)
        now, found = tally.standing(), scraped(address)
        assert (found["crl_rounds_committed"], found["crl_rounds_planned"]) == (2, 4)
        counts = [found[f"crl_round_{name}"] for name in ("episodes_planned", "episodes_ended", "turns", "tokens")]
        assert counts == [now.planned, now.ended, now.turns, now.tokens]
        assert found["crl_round_success_ratio{arm=free}"] == 0.5
        assert found["crl_round_seconds"] > 0
        assert found["crl_last_round{metric=bank/size}"] == 7
        assert found["crl_last_commit_timestamp_seconds"] == 1.5e9
        assert "crl_last_round{metric=extractor/loss}" not in found
    with pytest.raises(OSError, match="refused"):
        scraped(address)


def test_an_address_that_is_taken_is_refused_by_name_with_a_remedy(quick: Config, progress: Display) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = MetricsAddress("127.0.0.1", other.getsockname()[1], "CRL_METRICS_ADDRESS")
        refused = rf"CRL_METRICS_ADDRESS = 127\.0\.0\.1:{taken.port}: .*in use\. Remedy: "
        with pytest.raises(ConfigError, match=refused), served(Figures(quick, "", progress), taken, print):
            pass
    with served(Figures(quick, "", progress), taken, lambda line: None):  # free again
        pass


def test_nobody_is_answered_where_no_address_is_named(quick: Config, progress: Display) -> None:
    told: list[str] = []
    with served(Figures(quick, "", progress), None, told.append):
        assert told == []
