"""Composes a profile from `conf/` exactly as DVC's Hydra support does for params.yaml."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from crl.config import Config, from_mapping, load
from crl.errors import ConfigError


def profiles(folder: Path = Path("conf")) -> tuple[str, ...]:
    """Names of the profiles in `conf/profile`."""
    return tuple(sorted(file.stem for file in (folder / "profile").glob("*.yaml")))


def compose(profile: str, overrides: Sequence[str] = (), folder: Path = Path("conf")) -> dict[str, Any]:
    """The plain mapping of a profile with `key=value` overrides. Raises ConfigError."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if profile not in profiles(folder):
        raise ConfigError(
            f"profile = {profile!r}: not in {folder}/profile. Remedy: use one of {', '.join(profiles(folder))}"
        )
    try:
        with initialize_config_dir(str(folder.resolve()), version_base=None):
            composed = hydra_compose("config", overrides=[f"profile={profile}", *overrides])
    except (HydraException, OmegaConfBaseException) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ConfigError(
            f"{' '.join(overrides) or profile}: {reason}. Remedy: `crl check --fields` lists all fields"
        ) from None
    return OmegaConf.to_container(composed, resolve=True)


def composed(profile: str, overrides: Sequence[str] = (), folder: Path = Path("conf")) -> Config:
    """A validated profile."""
    return from_mapping(compose(profile, overrides, folder))


def chosen(profile: str | None, params: Path, overrides: Sequence[str] = ()) -> Config:
    """What a command line names: a profile with changes, or a parameter file; its changes are made to the file's profile."""
    if overrides and not profile:
        profile = load(params).profile
    return composed(profile, overrides) if profile else load(params)


def dump(values: dict[str, Any]) -> str:
    """The mapping as params.yaml holds it."""
    return yaml.safe_dump(values, sort_keys=False)
