"""The quick profile's models for benchmarks: of the real shape, after a warm start of seconds.

Speed does not depend on what the weights are, but the length of episodes does, and whether the environment moves
at all: a few steps of imitation make nearly every reply a valid action, and distilled operations parse.
"""

from pathlib import Path

from crl.config import Config
from crl.config.compose import composed
from crl.tasks.sets import TaskSets
from crl.tiny.warm_start import warm_start

CONF = Path(__file__).parents[1] / "conf"
SHORT_WARM_START = ("warm_start.episodes_per_task=30", "warm_start.actor_steps=60", "warm_start.extractor_steps=150")


def quick_config(*overrides: str, schedule: str = "async") -> Config:
    """The quick profile with a short warm start and `key=value` overrides."""
    return composed("quick", [*SHORT_WARM_START, f"run.schedule={schedule}", *overrides], CONF)


def warm_models(config: Config, folder: Path) -> tuple[Path, Path]:
    """Folders of an actor and an extractor that speak the profile's language."""
    warm_start(config, TaskSets.generate(config), folder)
    return folder / "actor", folder / "extractor"
