"""What a run asks of `params.yaml`: a profile, and changes. What was set in the file by hand is never lost without a word.

DVC's Hydra support composes the file anew from `conf/` when an experiment starts, and drops what stands in no profile. So the
changes are made here, to the file as it is, and DVC runs what it holds (`dvc exp run --no-hydra`).
"""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from crl.config import from_mapping, read
from crl.config.compose import changed, compose, dump, own_values
from crl.errors import ConfigError
from crl.files import read_json, write_json

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


def _committed() -> bool:
    """Whether the file is as Git's last commit has it."""
    done = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", str(PARAMS)], capture_output=True, check=False)
    return done.returncode == 0
