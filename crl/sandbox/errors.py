"""How a sandbox can fail, told apart because each asks for another remedy.

EnvError
└── SandboxError            the container or the engine failed under the episode; replaying may work
    ├── SandboxUnavailable  no Docker engine, or no such image: nothing can be played until that is mended
    └── SandboxBroken       what ran inside made the container unusable: the episode's own fault, so a failed end, never replayed
"""

from crl.errors import EnvError
from crl.types import FailureCause


class SandboxError(EnvError):
    """The container ended, or the engine was lost, under this episode. Replaying may work."""

    cause = FailureCause.SANDBOX


class SandboxUnavailable(SandboxError):
    """No Docker engine answers, or it lacks the image. The message names the remedy."""


class SandboxBroken(SandboxError):
    """The commands of the episode itself used up what the container needs to take another one.

    An environment ends the episode as failed; one that lets this error out breaks its contract.
    """

    cause = FailureCause.ENV_CONTRACT
