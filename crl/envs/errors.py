"""How an environment can fail, told apart because each asks for another remedy.

EnvError            broke the text-environment contract, or was asked for the impossible
├── EnvCrash        raised an unexpected exception, or its worker process died
├── EnvTimeout      a reset or step ran longer than `envs.call_timeout_s`
└── EnvUnavailable  cannot be played on this machine at all: a package or an engine is missing
"""

from crl.errors import EnvError
from crl.types import FailureCause

__all__ = ["EnvCrash", "EnvError", "EnvTimeout", "EnvUnavailable", "not_running"]


def not_running(action: str) -> EnvError:
    """What `step` raises before the first reset, and between an episode's end and the next reset."""
    return EnvError(f"step({action[:80]!r}) without a running episode. Remedy: call reset(task) first")


class EnvCrash(EnvError):
    """The environment, or the process that hosts it, died under this episode. Replaying may work."""

    cause = FailureCause.ENV_CRASH


class EnvTimeout(EnvError):
    """A reset or step took longer than allowed; its worker was killed. Replaying may work."""

    cause = FailureCause.ENV_TIMEOUT


class EnvUnavailable(EnvError):
    """This machine lacks, or has lost, what the family needs. The message names the remedy.

    Replaying helps only where it comes back, as a Docker engine that is started again does.
    """

    cause = FailureCause.ENV_UNAVAILABLE
