"""Figures of the running round for a team's own monitoring: in Prometheus's text format, where `servers.metrics` says.

They are gathered when somebody asks: what is played neither waits for it nor writes anything for it.
"""

import contextlib
import math
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from crl.cli.progress import Display
from crl.config import Config
from crl.config.addresses import MetricsAddress
from crl.episode.tally import Standing
from crl.errors import ConfigError
from crl.round.report import RoundReport


class Figures(Collector):
    """What a run is, where the episodes stand that its progress follows, and the last committed round."""

    def __init__(self, config: Config, lineage: str, progress: Display) -> None:
        self._run = {"lineage": lineage, "profile": config.profile, "schedule": config.run.schedule}
        self._progress = progress
        self._last: tuple[RoundReport, float] | None = None

    def committed(self, report: RoundReport, at_s: float) -> None:
        """A round was committed at this time of the clock."""
        self._last = report, at_s

    def collect(self) -> Iterator[Metric]:
        """From the thread of whoever asks."""
        yield InfoMetricFamily("crl_run", "The run", self._run)
        done, planned = self._progress.whole
        yield _gauge("rounds_committed", "Rounds so far; the round that is played has this number, from 0", done)
        yield _gauge("rounds_planned", "Rounds of the whole run", planned)
        if tally := self._progress.tally:
            yield from _of_round(tally.standing())
        if self._last:
            yield from _of_report(*self._last)


def _of_round(now: Standing) -> Iterator[Metric]:
    yield _gauge("round_episodes_planned", "Episodes of the round that is played", now.planned)
    yield _gauge("round_episodes_ended", "Of these, ended", now.ended)
    yield _gauge("round_episodes_lost", "Of these, lost to infrastructure", now.lost)
    yield _gauge("round_turns", "Turns taken", now.turns)
    yield _gauge("round_tokens", "Tokens that the actor's engine has sampled", now.tokens)
    yield _gauge("round_seconds", "Since the first episode began; until the last has ended", now.elapsed_s)
    yield _gauge("round_tokens_per_second", "Mean over these seconds", now.tokens / now.elapsed_s)
    if now.left_s is not None:
        yield _gauge("round_seconds_left", "Estimated until the last episode ends", now.left_s)
    yield _gauges("round_success_ratio", "Of the ended episodes, those that succeeded", "arm", now.success)


def _of_report(report: RoundReport, at_s: float) -> Iterator[Metric]:
    known = {name: value for name, value in report.metrics.items() if math.isfinite(value)}  # absent ones are NaN
    yield _gauges("last_round", "Metrics of the last committed round, by their names in MLflow", "metric", known)
    yield _gauge("last_commit_timestamp_seconds", "When that was committed", at_s)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"crl_{name}", meaning, value)


def _gauges(name: str, meaning: str, label: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(f"crl_{name}", meaning, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


@contextlib.contextmanager
def served(figures: Figures, address: MetricsAddress | None, tell: Callable[[str], None]) -> Iterator[None]:
    """Answer at this address for the time of the block. Raises ConfigError where nothing can listen there."""
    if address is None:
        yield
        return
    registry = CollectorRegistry()  # of its own: Prefect counts in the library's global one
    registry.register(figures)
    try:
        server, thread = start_http_server(address.port, address.host, registry)
    except OSError as error:
        raise ConfigError(
            f"{address.source} = {address.host}:{address.port}: {error.strerror}. Remedy: an address of this machine with a port "
            "that no other run or program has, port 0 for any free one, or no address"
        ) from None
    tell(f"figures of the running round for Prometheus: http://{address.host}:{server.server_port}/metrics")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
