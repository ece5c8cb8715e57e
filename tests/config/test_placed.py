"""Where a learner's workers are to be."""

from pathlib import Path

import pytest

from crl.config.compose import composed
from crl.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["learn.actor.workers=2"], "learn.actor.placed = 'ray': run.task_runner = 'threads' knows no cluster.*Remedy"),
        (
            ["run.task_runner=ray", "run.schedule=async", "engine.kind=server"],
            "learn.actor.placed = 'ray': learn.actor.workers = null.*Remedy",
        ),
    ],
)
def test_workers_on_nodes_need_a_cluster_and_are_some(changes: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        composed("quick", ["learn.actor.placed=ray", *changes], CONF)
