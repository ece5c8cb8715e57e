"""Shared by all tests: one thread per process, and skips that are told or refused.

A test that cannot run on this machine calls `pytest.skip("reason. Remedy: ...")`. The closing lines list each by name;
with CRL_REQUIRE_ALL=1 (set in .ci/run) a skip fails the run.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
# Shared machines stall: a slow example says nothing about the property. Failures replay from the printed seed.
settings.register_profile("crl", deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI")))
settings.load_profile("crl")


LONGEST = (
    "test_end_to_end.py",
    "test_mixes_end_to_end.py",
    "test_core.py",
    "test_vllm_servers.py",
    "test_vllm_round.py",
    "test_runs.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes come first, so that no process ends long after the others."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(LONGEST)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.section("not run on this machine")
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.line(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CRL_REQUIRE_ALL") == "1" and reporter and reporter.stats.get("skipped") and exitstatus == 0:
        reporter.write_line("CRL_REQUIRE_ALL=1: a skipped test is a failure", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
