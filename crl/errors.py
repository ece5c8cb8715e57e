"""The exceptions of the library, in one tree.

Every message names what was wrong, the value, and what to do about it.

    CrlError
    ├── ConfigError          params that cannot be run
    ├── DataError            a file on disk that is damaged or of another kind
    ├── EnvError             an environment broke its contract, crashed or hung
    ├── EngineError          generation failed
    ├── BankError            the bank refused a mutation or lost agreement with its ledger
    │   └── RetrievalError   the bank could not be read in time
    ├── DiskFull             no room is left where something had to be written
    └── RunStopped           too many infrastructure failures to go on honestly

`crl.envs.errors` and `crl.sandbox.errors` tell apart what stands under EnvError.
"""

from crl.types import FailureCause


class CrlError(Exception):
    """Base of every error raised on purpose by this library.

    `cause` is what an episode that the error ends was lost to: it is then played again, and counted. None: it was not
    infrastructure; playing again would not help, and the run ends.
    """

    cause: FailureCause | None = None


class ConfigError(CrlError):
    """Parameters that cannot be run; the message lists field, value and remedy, one line each."""


class DataError(CrlError):
    """A file that should hold our data is missing, damaged or of another version."""


class EnvError(CrlError):
    """An environment crashed, hung or broke the text-environment contract."""

    cause = FailureCause.ENV_CONTRACT


class EngineError(CrlError):
    """The generation engine failed or was asked for something it cannot do."""

    cause = FailureCause.ENGINE


class BankError(CrlError):
    """The experience bank refused a mutation, or its index and ledger disagree."""


class RetrievalError(BankError):
    """A retrieval got no answer in time: its deadline passed, or the index's server is away. Replaying may work."""

    cause = FailureCause.RETRIEVAL


class DiskFull(CrlError):
    """No room is left on a disk, or a quota is used up."""


class RunStopped(CrlError):
    """The run stopped itself: going on would have mixed infrastructure failures into the results."""


# In the words of the system, of SQLite, and of what writes models and tables.
_FULL = ("No space left on device", "Disk quota exceeded", "disk is full")


def named(error: BaseException) -> CrlError | None:
    """The error of this tree that stands for what a command ended with; None: it is none that we know of."""
    if isinstance(error, CrlError):
        return error
    seen: BaseException | None = error
    while seen is not None:
        if any(words in str(seen) for words in _FULL):
            return DiskFull(
                f"{str(seen).splitlines()[0]}. Remedy: make room (`df -h`; `dvc gc --workspace` removes what no file of this "
                "checkout needs), then give the same command again: what was finished is kept"
            )
        seen = seen.__cause__ or seen.__context__
    return None
