"""What the parameters must know of an engine before it is opened, without torch or vLLM."""

from typing import Any, ClassVar


class EngineKind:
    """What `engine.kind` names: declares what an engine can do, and opens one. Base of every such class.

    Everybody who must know asks these attributes: the parameters' checks, evaluation, `crl doctor`, `crl plan`.
    """

    lockstep: ClassVar[bool] = False  # a turnstile can decide when it serves: same seeds, same bytes
    holds_model: ClassVar[bool] = False  # it computes on the model that it is given, on `run.device`
    remote: ClassVar[bool] = False  # it generates on servers (servers.<role>), which nodes of a cluster can share
    paged: ClassVar[bool] = (
        False  # engine.tensor_parallel GPUs, engine.memory_share of each; weights leave it to the cache
    )
    adapters: ClassVar[bool] = (
        False  # it takes an adapter's weights alone (learn.<role>.lora), beside the base that it holds
    )
    constrains: ClassVar[bool] = False  # it draws replies among choices (actor.replies: legal)
    compiles: ClassVar[bool] = False  # C++, when it starts, unless engine.eager
    extra: ClassVar[str | None] = None  # the optional part of the package that it needs

    @classmethod
    def open(cls, opening: Any) -> Any:
        """The engine (`crl.engine.protocol.Engine`) for a `crl.engine.kinds.Opening`. Raises ConfigError."""
        raise NotImplementedError
