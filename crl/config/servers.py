"""Parameters of what may run outside this process: generation engines, the vector store, the cluster.

Addresses may also come from the environment, which wins (`crl.config.addresses`); secrets come from there alone.
"""

from typing import Literal

from pydantic import Field

from crl.config.base import Section
from crl.config.choices import ENGINES
from crl.config.engines import EngineKind


class EngineConfig(Section):
    """What generates: the models' copies of this process, vLLM in this process, or vLLM servers."""

    kind: str = Field(
        "transformers",
        description="transformers and vllm: in this process; server: OpenAI-compatible vLLM servers; or module:Class",
    )
    tensor_parallel: int = Field(1, ge=1, description="vllm: GPUs that share one model")
    memory_share: float = Field(0.85, gt=0, lt=1, description="vllm: share of a GPU's memory per model")
    cpu_cache_gib: int = Field(1, ge=1, description="vllm on a CPU: GiB of the key-value cache per model")
    prefix_caching: bool = Field(True, description="vllm: a turn costs its new tokens only")
    eager: bool = Field(False, description="vllm: no compilation: starts sooner, generates slower")
    request_timeout_s: float = Field(600.0, gt=0, description="server: longest wait for one completion")
    health_wait_s: float = Field(120.0, gt=0, description="server: longest wait for a server that does not answer")
    weights_folder: str | None = Field(
        None,
        description="server: folder that this process and the servers share for new weights; null: a temporary one",
    )

    @property
    def declared(self) -> type[EngineKind]:
        """What the engine of this kind can do. Raises ConfigError for a kind that is unknown or does not load."""
        return ENGINES.load(self.kind, "engine.kind")


class WeaviateConfig(Section):
    """How the bank lies in Weaviate, for the nodes that play."""

    collection: str = Field("CrlExperience", pattern=r"^[A-Z][A-Za-z0-9_]*$", description="one tenant in it per run")
    hybrid_alpha: float | None = Field(
        None, ge=0, le=1, description="null: nodes search by vectors; else hybrid: 0 keywords only, 1 vectors only"
    )
    timeout_s: float = Field(10.0, gt=0, description="of one request; past it the server counts as lost")
    retry_s: float = Field(2.0, gt=0, description="pause between tries to reach a server that was lost")


class ServersConfig(Section):
    """Addresses; the environment variables named here win over them."""

    actor: tuple[str, ...] = Field((), description="vLLM servers of the actor; CRL_ACTOR_URLS, comma-separated")
    extractor: tuple[str, ...] = Field((), description="vLLM servers of the extractor; CRL_EXTRACTOR_URLS")
    embedder: tuple[str, ...] = Field(
        (), description="servers of the embedder; none: in this process; CRL_EMBEDDER_URLS"
    )
    weaviate: str | None = Field(
        None, description="http(s)://host:port, its gRPC port as ?grpc=50051; null: Weaviate Embedded; CRL_WEAVIATE_URL"
    )
    ray: str | None = Field(
        None, description="ray://host:port, or a node's address; null: a local cluster; CRL_RAY_ADDRESS"
    )
    metrics: str | None = Field(
        None,
        description="host:port at which co_evolve answers Prometheus with the running round's figures; null: nowhere; "
        "CRL_METRICS_ADDRESS",
    )


Requirement = Literal["not_worse", "better"]  # of a paired comparison


class ChampionConfig(Section):
    """When an evaluated candidate becomes the champion: a paired comparison on the same seeded levels."""

    arm: Literal["free", "guided"] = Field("guided", description="which arm is compared")
    min_gain: float = Field(0.0, ge=-1, le=1, description="the gain's lower bound must exceed it, in success rate")
    require_bank: Requirement | None = Field(
        None,
        description="not_worse, better: what the candidate's actor must do with its own bank than with the champion's, on the "
        "same levels, where the banks differ (`crl bank contest`); null: no such test",
    )
