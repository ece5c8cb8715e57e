"""What every generation engine promises: token ids in; token ids, log-probs, stop reason and version out.

A session is one growing context (one episode, one distillation). The engine keeps its KV cache
between calls, so a turn costs its new tokens only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from crl.engine.choices import Choices
from crl.types import Completion

if TYPE_CHECKING:  # a second, for whoever only plays or shows what others generate
    import torch


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one request is sampled; requests of one batch may differ in every field."""

    temperature: float = 1.0  # 0 is greedy; log-probs are then of softmax(logits)
    top_p: float = 1.0
    top_k: int = 0  # 0: off
    max_new_tokens: int = 64
    stop: tuple[str, ...] = ()  # generation ends after a text that contains one of these
    seed: int = 0  # token t of the request draws from (seed, t): independent of batch mates
    # The reply is one of these, as a whole: neither max_new_tokens nor stop cuts it. Log-probs are of the softmax over the
    # tokens that may follow. None: any text. For engines whose kind declares `constrains`.
    among: Choices | None = None


class Session(Protocol):
    """One context. Use as an async context manager; leaving it frees the cache."""

    room: int  # tokens that still fit into the context

    async def generate(self, new_ids: tuple[int, ...], sampling: Sampling, request_id: str) -> Completion:
        """Append `new_ids` to the context, generate, append what was generated; return it.

        The completion's `prompt_ids` are `new_ids`. Raises EngineError when the context is full
        (`room` says how much is left).
        """
        ...

    def rewind(self, tokens: int) -> None:
        """Take the last `tokens` off the context, between two requests. What is before them stays cached."""
        ...

    async def __aenter__(self) -> "Session": ...

    async def __aexit__(self, *exc: object) -> None: ...


def fits(session: Session, new_ids: Sequence[int], among: Choices | None = None) -> bool:
    """Whether the context takes these ids and one token of a reply, at least, or any of the choices: `generate` demands it.

    Whoever writes a prompt asks first. A text that is too long is no fault of the infrastructure: tried again, it is as long.
    """
    return len(new_ids) + (1 if among is None else among.longest) <= session.room


class Engine(Protocol):
    """Generation for one model."""

    version: int  # of the weights now loaded
    busy_s: float  # seconds with a request under way, since it was made
    tokens: int  # sampled since it was made: one by one where the engine sees them, else when a reply ends

    def session(self, key: str) -> Session:
        """A new empty context; `key` orders sessions in the deterministic schedule."""
        ...

    def load_weights(self, state: "dict[str, torch.Tensor]", version: int) -> float:
        """Replace the weights in place between two batches; returns seconds. Running sessions go on."""
        ...

    def close(self) -> None: ...
