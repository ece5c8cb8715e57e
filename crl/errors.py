"""The exceptions of the library, in one tree.

Every message names what was wrong, the value, and what to do about it.

    CrlError
    ├── ConfigError          params that cannot be run
    ├── DataError            a file on disk that is damaged or of another kind
    ├── EnvError             an environment broke its contract, crashed or hung
    ├── EngineError          generation failed
    ├── BankError            the bank refused a mutation or lost agreement with its ledger
    └── RunStopped           too many infrastructure failures to go on honestly
"""


class CrlError(Exception):
    """Base of every error raised on purpose by this library."""


class ConfigError(CrlError):
    """Parameters that cannot be run; the message lists field, value and remedy, one line each."""


class DataError(CrlError):
    """A file that should hold our data is missing, damaged or of another version."""


class EnvError(CrlError):
    """An environment crashed, hung or broke the text-environment contract."""


class EngineError(CrlError):
    """The generation engine failed or was asked for something it cannot do."""


class BankError(CrlError):
    """The experience bank refused a mutation, or its index and ledger disagree."""


class RunStopped(CrlError):
    """The run stopped itself: going on would have mixed infrastructure failures into the results."""
