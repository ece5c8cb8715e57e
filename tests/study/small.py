"""A real study of two arms, one seed and two rounds with the smallest models: half a minute of CPU, most of it imports."""

from pathlib import Path

import yaml

from tests.round.runs import CONF

SMALL = {
    "profile": "quick",
    "overrides": [
        "~tasks.mix.maze", "~tasks.mix.keyroom", "tasks.eval_levels=4", "envs.workers=0", "models.actor.hidden_size=16",
        "models.actor.heads=2", "models.actor.layers=1", "warm_start.episodes_per_task=16", "warm_start.actor_steps=20",
        "warm_start.extractor_steps=60", "rollout.groups=2", "learn.extractor.batch=6", "learn.extractor.buffer=64",
        "rounds.count=2",
    ],
    "seeds": [1],
    "every_rounds": 1,
    "reference": "grpo",
    "arms": {"grpo": ["+arm=grpo"], "complementary": ["+arm=complementary"]},
    "aims": [{"arm": "complementary", "against": "grpo", "metric": "end_with"}],
}  # fmt: skip


def write_study(folder: Path, values: dict, name: str) -> None:
    """A checkout's `conf` with this study alone."""
    (folder / "conf/study").mkdir(parents=True)
    for part in ("config.yaml", "base.yaml", "tiny.yaml", "by_effect.yaml", "profile", "arm"):
        (folder / "conf" / part).symlink_to(CONF / part)
    (folder / f"conf/study/{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
