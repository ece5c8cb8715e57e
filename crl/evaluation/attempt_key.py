"""The key of the attempt log: all that an attempt of the pass@k stage depends on, and nothing else.

Where files and servers are, and how many attempts are wanted, changes no attempt and is not in it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple

from crl.config import Config
from crl.evaluation.code import code_that_plays
from crl.types import Task


def attempt_key(config: Config, tasks: Sequence[Task], actor: str) -> str:
    """Equal keys: attempts of one may stand for attempts of the other. `actor` is the digest of the base actor's folder."""
    settings = config.model_dump(
        mode="json",
        include={
            "run": {"seed", "device"},
            "envs": {"observation": True, "sandbox": True},
            "models": {"actor": {"context_tokens", "dtype"}},
            "engine": {"kind"},
            "rollout": {"sampling"},
            "actor": True,
            "pass_rate": {"policy"},
        },
    )
    del settings["envs"]["sandbox"]["warm"]  # containers kept ready
    code = code_that_plays(config, tasks, guided=False)
    values = [settings, code, actor, [astuple(task) for task in tasks]]
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8).hexdigest()
