"""What a run asks of `params.yaml`: a profile, and changes. What was set in the file by hand is never lost without a word.

DVC's Hydra support would compose the file anew from `conf/` when an experiment starts, and drop what stands in no profile. So
it is off, changes are made to the file as it is, here or by `dvc exp run -S`, and DVC runs what the file holds.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from crl.config import from_mapping, read
from crl.config.base import flatten
from crl.config.compose import changed, compose, dump, own_values, profiles
from crl.errors import ConfigError
from crl.files import read_json, write_json
from flows.stage.git import git

PARAMS = Path("params.yaml")
LAST = Path(".dvc/tmp/crl-params.json")  # what the last run with changes made of the file, and the text before


def ask(profile: str | None, overrides: Sequence[str], say: Callable[[str], object]) -> bool:
    """Make the file hold what a run asks for; False where it does already. `profile` None: the one that it holds.

    An override holds for one run: changes are made to the file as it was before the last ones, unless somebody has edited or
    committed it since. Raises ConfigError, and leaves the file alone, where another profile would drop values set by hand.
    """
    held = read(PARAMS)
    profile = profile or held.get("profile")
    if not overrides and profile == held.get("profile"):
        return False
    before = PARAMS.read_text()
    if LAST.is_file() and (last := read_json(LAST))["after"] == held and not _committed():
        before, held = last["before"], yaml.safe_load(last["before"])
    if profile == held.get("profile"):
        values = changed(held, overrides)
    else:
        _nothing_is_lost(held, profile)
        values = compose(profile, overrides)
    from_mapping(values)
    write_json(LAST, {"before": before, "after": values})
    PARAMS.write_text(dump(values))
    say(f"{PARAMS}: profile {profile} with {'; '.join(own_values(values)) or 'its own values'}")
    return True


def _nothing_is_lost(held: dict[str, Any], profile: str) -> None:
    """Raises ConfigError where the file holds values that are in no profile: they would be gone."""
    if own := own_values(held):
        raise ConfigError(
            f"profile = {profile!r}: {PARAMS} holds values that stand in no profile, and they would be lost:\n"
            + "\n".join(own)
            + "\nRemedy: keep them as a profile of your own (conf/profile/NAME.yaml), or give them up: "
            f"crl compose {profile} > {PARAMS}"
        )


def refuse_a_name_alone(params: Path) -> None:
    """Raises ConfigError where the file names another profile than Git's last commit and has none of its values.

    `dvc exp run -S profile=NAME` writes the name, and nothing else of the profile.
    """
    committed = git("show", f"HEAD:./{params}") if not params.is_absolute() else None
    if committed is None:
        return
    held, before = read(params), yaml.safe_load(committed)
    profile = held.get("profile")
    if profile == before.get("profile") or profile not in profiles():
        return
    values, given, last = (dict(flatten(mapping)) for mapping in (held, compose(profile), before))
    own = [name for name in given if name != "profile" and given[name] != last.get(name)]
    if own and not any(values.get(name) == given[name] for name in own):
        raise ConfigError(
            f"profile = {profile!r}: a name alone changes no value, and {params} holds none of the {len(own)} values in which "
            f"{profile} differs from the last commit's {before.get('profile')}. Remedy: python -m flows.run --profile "
            f"{profile}, or crl compose {profile} > {params}"
        )


def _committed() -> bool:
    """Whether the file is as Git's last commit has it."""
    return git("diff", "--quiet", "HEAD", "--", str(PARAMS)) is not None
