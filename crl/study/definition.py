"""What a study is: arms, seeds, and what counts as support, in `conf/study/NAME.yaml` (docs/protocol.md)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from crl.config import Config
from crl.config.base import Section, explain, flatten
from crl.config.compose import CONF, composed
from crl.errors import ConfigError
from crl.study.metrics import Metric

# How the held-out panel is played, and which levels it has.
PANEL_SETTINGS = {"evaluate": {"episodes_per_level", "temperature"}, "rollout": {"sampling"}, "envs": {"observation"}}
_PANEL_LEVELS = {
    "eval_levels": True,
    "eval_seed_start": True,
    "mix": {"__all__": {"family", "level", "max_steps", "source", "eval_levels", "min_difficulty", "max_difficulty"}},
}


class Aim(Section):
    """A claim that the study's figures support or do not."""

    arm: str = Field(description="the arm that it is about")
    against: str | None = Field(None, description="the arm that is subtracted, seed by seed; null: the metric itself")
    metric: Metric = Field(description="what is compared")
    task: str = Field("all", description="an entry of the mix, or all of them together")
    kind: Literal["more", "not_less"] = Field(
        "more",
        description="more: the interval is above 0 and the value reaches `at_least`; not_less: it is not all below 0",
    )
    at_least: float = Field(0.0, ge=0, description="how much the value must be, in the metric's unit")


class Study(Section):
    """Arms x seeds. A seed is one replication: it draws the base models, the levels and every token of all arms."""

    name: str = Field(description="the file's name; folders and tables are called by it")
    profile: str = Field(description="what all arms have in common: a profile ...")
    overrides: tuple[str, ...] = Field((), description="... with these changes, which win over what an arm's file says")
    arms: dict[str, tuple[str, ...]] = Field(min_length=1, description="each arm's own changes, `+arm=NAME` among them")
    reference: str = Field(description="the arm that the others are compared with")
    seeds: tuple[int, ...] = Field(min_length=1, description="the same for all arms, so that differences are paired")
    every_rounds: int = Field(ge=1, description="rounds between two evaluations on the held-out panel")
    level: float = Field(0.6, gt=0, le=1, description="success rate that `steps to the level` are counted to")
    aims: tuple[Aim, ...] = Field((), description="what counts as support")

    @model_validator(mode="after")
    def _arms_are_known(self) -> "Study":
        named = {self.reference, *(aim.arm for aim in self.aims), *(aim.against for aim in self.aims if aim.against)}
        if strangers := sorted(named - set(self.arms)):
            raise ValueError(
                f"arms = {', '.join(self.arms)}: {', '.join(strangers)} is none of them. Remedy: add or rename it"
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds = {list(self.seeds)}: one stands there twice. Remedy: name each once")
        return self

    @property
    def runs(self) -> tuple[tuple[str, int], ...]:
        """All runs (arm, seed), seed by seed: a study that is stopped has whole pairs."""
        return tuple((arm, seed) for seed in self.seeds for arm in self.arms)

    def config(self, arm: str, seed: int, folder: Path = CONF) -> Config:
        """The parameters of one run. Raises ConfigError."""
        return composed(self.profile, [*self.overrides, *self.arms[arm], f"run.seed={seed}"], folder)


def studies(folder: Path = CONF) -> tuple[str, ...]:
    """Names of the studies in `conf/study`."""
    return tuple(sorted(file.stem for file in (folder / "study").glob("*.yaml")))


def load_study(name: str, folder: Path = CONF) -> Study:
    """A study by name, all of whose runs have valid parameters, each arm others, and one panel. Raises ConfigError."""
    if name not in studies(folder):
        raise ConfigError(f"study = {name!r}: not in {folder}/study. Remedy: use one of {', '.join(studies(folder))}")
    values = yaml.safe_load((folder / "study" / f"{name}.yaml").read_text())
    try:
        study = Study.model_validate({**values, "name": name})
    except ValidationError as error:
        raise explain(error, Study) from None
    _refuse_incomparable({arm: study.config(arm, study.seeds[0], folder) for arm in study.arms}, study.reference)
    return study


def _refuse_incomparable(configs: Mapping[str, Config], reference: str) -> None:
    """Raises ConfigError where two arms are one, or an arm would be measured on a panel of its own."""
    first_of: dict[str, str] = {}
    for arm, config in configs.items():
        if (other := first_of.setdefault(config.model_dump_json(), arm)) != arm:
            raise ConfigError(f"arms.{arm}: the same parameters as arms.{other}. Remedy: change one, or drop it")
    panels = {
        arm: dict(flatten(config.model_dump(mode="json", include={**PANEL_SETTINGS, "tasks": _PANEL_LEVELS})))
        for arm, config in configs.items()
    }
    for arm, panel in panels.items():
        if other := sorted(name for name, _ in panel.items() ^ panels[reference].items()):
            raise ConfigError(
                f"arms.{arm}: another {other[0]} than arms.{reference}, so its figures would be of another panel. Remedy: put it "
                "into `overrides`, for all arms; an entry of the mix that an arm does not train has weight 0"
            )
