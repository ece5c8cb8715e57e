"""The caller's side of one context: checks a request, waits for its completion, gives up cleanly."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from crl.engine.protocol import Sampling
from crl.engine.scheduler import Request
from crl.engine.slots import Context
from crl.errors import EngineError
from crl.types import Completion


class ContextSession:
    """Of every engine here. Implements `engine.protocol.Session`. A cancelled or failed request ends the session."""

    def __init__(
        self, key: str, submit: Callable[[Request], Awaitable[Completion]], *, context_tokens: int, vocabulary: int
    ) -> None:
        self._submit = submit
        self._context = Context(key)
        self._context_tokens = context_tokens
        self._vocabulary = vocabulary
        self._request: Request | None = None

    @property
    def room(self) -> int:
        return self._context_tokens - len(self._context.history)

    async def generate(self, new_ids: tuple[int, ...], sampling: Sampling, request_id: str) -> Completion:
        self._check(new_ids, sampling)
        future = asyncio.get_running_loop().create_future()
        self._request = request = Request(request_id, self._context, new_ids, sampling, future)
        self._context.busy = True
        try:
            return await self._submit(request)
        except asyncio.CancelledError:
            request.cancel()
            raise
        finally:
            self._request = None

    def _check(self, new_ids: Sequence[int], sampling: Sampling) -> None:
        if self._context.closed:
            raise self._refusal("is over", "a new session after a cancelled or failed request")
        if self._request is not None:
            raise self._refusal("is generating already", "one request at a time")
        if len(new_ids) >= self.room:
            raise self._refusal(
                f"has room for {self.room} of {self._context_tokens} tokens, got {len(new_ids)}, and one must be left",
                "end the episode, or raise context_tokens",
            )
        if not new_ids and not self._context.history:
            raise self._refusal("has nothing to continue", "pass the prompt's ids")
        if new_ids and not 0 <= min(new_ids) <= max(new_ids) < self._vocabulary:
            raise self._refusal(
                f"got token ids from {min(new_ids)} to {max(new_ids)}, the model knows 0 to {self._vocabulary - 1}",
                "use the model's own tokenizer",
            )
        if (
            sampling.max_new_tokens < 1
            or sampling.temperature < 0
            or not 0 < sampling.top_p <= 1
            or "" in sampling.stop
        ):
            raise self._refusal(
                f"cannot sample by {sampling}",
                "max_new_tokens >= 1, temperature >= 0, 0 < top_p <= 1, no empty stop string",
            )

    def _refusal(self, fault: str, remedy: str) -> EngineError:
        return EngineError(f"session {self._context.key!r} {fault}. Remedy: {remedy}")

    async def __aenter__(self) -> "ContextSession":
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._context.closed = True
        if self._request is not None:
            self._request.cancel()
