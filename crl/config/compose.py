"""Composes a profile from `conf/` by Hydra, and changes values by its grammar, as `dvc exp run -S` does."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from crl.config import Config, from_mapping, load, read
from crl.config.base import flatten
from crl.errors import ConfigError

CONF = Path("conf")


def profiles(folder: Path = CONF) -> tuple[str, ...]:
    """Names of the profiles in `conf/profile`."""
    return tuple(sorted(file.stem for file in (folder / "profile").glob("*.yaml")))


def arms(folder: Path = CONF) -> tuple[str, ...]:
    """Names of a study's arms in `conf/arm`: sets of changes, chosen by the override `+arm=NAME`."""
    return tuple(sorted(file.stem for file in (folder / "arm").glob("*.yaml")))


def compose(profile: str, overrides: Sequence[str] = (), folder: Path = CONF) -> dict[str, Any]:
    """The plain mapping of a profile with `key=value` overrides. Raises ConfigError."""
    if profile not in profiles(folder):
        raise ConfigError(
            f"profile = {profile!r}: not in {folder}/profile. Remedy: use one of {', '.join(profiles(folder))}"
        )
    values = _hydra(folder, "config", [f"profile={profile}", *overrides], about=" ".join(overrides) or profile)
    if mixes := _mixes(overrides):
        _check_mixes(mixes, compose(profile, folder=folder), values)
    return _named(values, profile, f"`profile: {profile}` in {folder}/profile/{profile}.yaml")


def changed(values: dict[str, Any], overrides: Sequence[str], folder: Path = CONF) -> dict[str, Any]:
    """`values` with `key=value` overrides on top: what stands in no profile stays. Raises ConfigError."""
    with TemporaryDirectory() as place:
        (Path(place) / "params.yaml").write_text(dump(values))
        (Path(place) / "arm").symlink_to((folder / "arm").resolve())  # for `+arm=NAME`
        after = _hydra(Path(place), "params", overrides, about=" ".join(overrides))
    _check_mixes(_mixes(overrides), values, after)
    return _named(after, values.get("profile"), "choose a profile by --profile, or in the form's first field")


def own_values(values: dict[str, Any], folder: Path = CONF) -> list[str]:
    """Where the values differ from the profile that they name, one sentence each: composing anew would lose them."""
    profile = values.get("profile")
    if profile not in profiles(folder):
        return [f"profile = {profile!r} (not in {folder}/profile: all values are its own)"]
    held, given = dict(flatten(values)), dict(flatten(compose(profile, folder=folder)))
    left_out = dict.fromkeys(_whole_part(name, held) for name in sorted(given.keys() - held.keys()))
    return [
        *(
            f"{name} = {value!r} ({profile}: {repr(given[name]) if name in given else 'not there'})"
            for name, value in sorted(held.items())
            if name not in given or value != given[name]
        ),
        *(f"{part} is left out (it is in {profile})" for part in left_out),
    ]


def _whole_part(name: str, held: dict[str, Any]) -> str:
    """The largest part of the parameters that `name` is in and that `held` has nothing of."""
    words = name.split(".")
    parts = [".".join(words[:end]) for end in range(1, len(words) + 1)]
    return next(part for part in parts if not any(f"{known}.".startswith(f"{part}.") for known in held))


def _hydra(folder: Path, name: str, overrides: Sequence[str], about: str) -> dict[str, Any]:
    """The mapping of the file `name` with overrides. Raises ConfigError, which begins with `about`."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        with initialize_config_dir(str(folder.resolve()), version_base=None):
            return OmegaConf.to_container(hydra_compose(name, overrides=list(overrides)), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ConfigError(f"{about}: {reason}. Remedy: `crl check --fields` lists all fields") from None


def _mixes(overrides: Sequence[str]) -> list[str]:
    return [override for override in overrides if override.startswith("tasks.mix=")]


def _check_mixes(mixes: Sequence[str], before: dict[str, Any], after: dict[str, Any]) -> None:
    """Raises ConfigError for a `tasks.mix={...}` that reads as the whole mix: Hydra adds to a mapping, and other entries stay."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    held, made = before["tasks"]["mix"], after["tasks"]["mix"]
    for override in OverridesParser.create().parse_overrides(list(mixes)):
        if stay := [name for name in held if name in made and name not in override.value()]:
            narrowed = " ".join(f"~tasks.mix.{name}" for name in stay)
            raise ConfigError(
                f"{override.input_line}: adds to the mix, in which {', '.join(stay)} would stay. Remedy: {narrowed} to remove "
                "them; '~tasks.mix' '+tasks.mix={...}' for another mix; tasks.mix.NAME.KEY=VALUE to change an entry"
            )


def _named(values: dict[str, Any], profile: str | None, remedy: str) -> dict[str, Any]:
    """The values, whose `profile` is the name of the profile that they are of: by it they are found again."""
    if values.get("profile") != profile:
        raise ConfigError(
            f"profile = {values.get('profile')!r}: the values are of {profile!r}, and a name changes none. Remedy: {remedy}"
        )
    return values


def composed(profile: str, overrides: Sequence[str] = (), folder: Path = CONF) -> Config:
    """A validated profile."""
    return from_mapping(compose(profile, overrides, folder))


def chosen(profile: str | None, params: Path, overrides: Sequence[str] = ()) -> Config:
    """What a command line names: a profile with changes, or a parameter file with changes to what it holds."""
    if profile:
        return composed(profile, overrides)
    return from_mapping(changed(read(params), overrides)) if overrides else load(params)


def dump(values: dict[str, Any]) -> str:
    """The mapping as params.yaml holds it."""
    return yaml.safe_dump(values, sort_keys=False)
