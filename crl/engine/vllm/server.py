"""vLLM servers as one engine (`engine.kind: server`): an HTTP client with a thread and an event loop of its own.

    session.generate ─► (any loop) ─► the engine's loop ─► Fleet.pick ─► POST /v1/completions ─► completion

A session is the list of its token ids, kept here: each request carries the whole context, so any server can go on
with it. It stays with one server while that is up, for the sake of its prefix cache. The cache is salted with the
version of the weights, so nothing computed by old weights is ever used by a request of new ones.
"""

import asyncio
import shutil
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from crl.config.addresses import secret
from crl.config.servers import EngineConfig
from crl.engine.answers import completion_of
from crl.engine.scheduler import Request
from crl.engine.session import ContextSession
from crl.engine.slots import Context
from crl.engine.text import TokenText
from crl.engine.vllm.fleet import Fleet, Member, Weights
from crl.engine.vllm.http import Generated, ServerGone, VllmServer
from crl.engine.vllm.requests import finish, settings
from crl.engine.weights import Shapes, refuse_misfit, write_weights
from crl.errors import EngineError
from crl.types import Completion

_TRIES = 4  # of one request, where servers answer but fail


@dataclass(slots=True)
class ServerCounts:
    generated_tokens: float = 0.0
    prefilled_tokens: float = 0.0  # of prompts, whether or not a prefix cache had them
    retries: float = 0.0  # requests that went to another server
    busy_s: float = 0.0  # while any request was under way


class ServerEngine:
    """Implements `engine.protocol.Engine`. Asynchronous schedule only; sessions may live on any event loop."""

    def __init__(
        self,
        urls: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        *,
        shapes: Shapes,
        vocabulary: int,
        end_ids: Iterable[int],
        context_tokens: int,
        config: EngineConfig,
        weights: dict[str, torch.Tensor] | Weights,
        version: int = 0,
        name: str = "model",
    ) -> None:
        """`shapes` are those of the weights, `vocabulary` is the number of token ids that the model takes.

        `weights` are loaded into every server before it is first asked, whatever it was started with. As tensors they are
        written to the shared folder; as `Weights` (another engine's) they lie there already.
        """
        self._shapes, self._vocabulary, self._name = shapes, vocabulary, name
        self._text, self._end_ids = TokenText(tokenizer), frozenset(end_ids)
        self._context_tokens, self._timeout_s = context_tokens, config.request_timeout_s
        self._counters = ServerCounts()
        self._serving: set[asyncio.Task] = set()
        self._busy_since = 0.0
        self._homes: weakref.WeakKeyDictionary[Context, Member] = weakref.WeakKeyDictionary()
        self._id = uuid.uuid4().hex[:8]
        self._own = Path(config.weights_folder or tempfile.gettempdir()) / f"crl-{name}-{self._id}"
        self._closed = False
        newest = weights if isinstance(weights, Weights) else self._write(weights, version)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crl-servers", daemon=True)
        self._thread.start()
        self._fleet = self._run(self._open(urls, newest, config))

    @property
    def version(self) -> int:
        return self._fleet.newest.version

    def session(self, key: str) -> ContextSession:
        return ContextSession(key, self.submit, context_tokens=self._context_tokens, vocabulary=self._vocabulary)

    def stats(self) -> dict[str, float]:
        """Counters since the engine was made; `failovers` counts servers that were lost."""
        under_way_s = time.perf_counter() - self._busy_since if self._serving else 0.0
        busy_s = self._counters.busy_s + under_way_s
        fleet = {"failovers": float(self._fleet.failovers), "servers_up": float(self._fleet.up)}
        return asdict(self._counters) | {"busy_s": busy_s} | fleet

    async def submit(self, request: Request) -> Completion:
        if self._closed:
            raise EngineError("the engine is closed. Remedy: finish all sessions before closing it")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._serve(request), self._loop))

    def load_weights(self, state: dict[str, torch.Tensor], version: int) -> float:
        """Write the weights, have every server load them; returns seconds. Running requests go on."""
        start = time.perf_counter()
        refuse_misfit(self._shapes, state, self._name)
        weights = self._write(state, version)
        self._run(self._fleet.publish(weights))
        for stale in set(self._own.iterdir()) - {weights.folder}:
            shutil.rmtree(stale, ignore_errors=True)
        return time.perf_counter() - start

    def close(self) -> None:
        """Stop asking; servers go on, with the weights that they hold. Whoever still waits gets an EngineError."""
        if self._closed:
            return
        self._closed = True
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self._own, ignore_errors=True)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _write(self, state: dict[str, torch.Tensor], version: int) -> Weights:
        folder = self._own / f"v{version}-{uuid.uuid4().hex[:6]}"
        folder.mkdir(parents=True)
        write_weights(state, folder)
        return Weights(folder, version)

    async def _open(self, urls: Sequence[str], weights: Weights, config: EngineConfig) -> Fleet:
        servers = [VllmServer(url, secret("VLLM_API_KEY"), config.request_timeout_s) for url in urls]
        return Fleet(servers, weights, self._context_tokens, config.health_wait_s)

    async def _shut(self) -> None:
        waiting = list(self._serving)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await self._fleet.close()

    async def _serve(self, request: Request) -> Completion:
        self._begin()
        context = request.context
        try:
            prompt = context.history + list(request.new_ids)
            async with asyncio.timeout(self._timeout_s):
                generated = await self._generate(request, prompt)
            context.history = prompt
            finish(request, generated.token_ids, generated.logprobs, generated.reason)
        except TimeoutError:
            context.closed = True
            raise EngineError(
                f"request {request.id} took longer than engine.request_timeout_s = {self._timeout_s}. "
                "Remedy: raise it, or start more servers"
            ) from None
        except asyncio.CancelledError:
            context.closed = True
            if self._closed:
                raise EngineError("the engine was closed while this request waited") from None
            raise
        except EngineError:
            context.closed = True
            raise
        finally:
            self._end()
        self._counters.generated_tokens += len(generated.token_ids)
        self._counters.prefilled_tokens += len(prompt)
        return completion_of(request, self._text, self._end_ids)

    async def _generate(self, request: Request, prompt: list[int]) -> Generated:
        """From the session's server, or from another one when that is lost on the way."""
        body = settings(request.sampling, self._context_tokens - len(prompt), self._end_ids)
        failures = 0
        while True:
            member = await self._fleet.pick(self._homes.get(request.context))
            self._homes[request.context] = member
            if request.sampling.temperature not in (0, 1) and not member.tempered:
                raise EngineError(
                    f"{member.server.url} takes log-probs before the temperature ({request.sampling.temperature}): it runs "
                    "without our extension. Remedy: start it with crl.engine.vllm.serve.command, or sample at 1.0"
                )
            request.version = member.holds.version
            try:
                return await _unless_lost(member, member.server.complete(prompt, body, f"{self._id}-{request.version}"))
            except ServerGone as gone:
                self._fleet.lose(member, str(gone))
                self._counters.retries += 1
                failures += gone.answered
                if failures >= _TRIES:
                    raise EngineError(
                        f"request {request.id} failed {failures} times: {gone}. Remedy: see its log"
                    ) from gone

    def _begin(self) -> None:
        if not self._serving:
            self._busy_since = time.perf_counter()
        self._serving.add(asyncio.current_task())

    def _end(self) -> None:
        self._serving.discard(asyncio.current_task())
        if not self._serving:
            self._counters.busy_s += time.perf_counter() - self._busy_since


async def _unless_lost(member: Member, call: Coroutine[Any, Any, Generated]) -> Generated:
    """The call's result; ServerGone as soon as the server counts as lost, e.g. because it hangs."""
    work, lost = asyncio.ensure_future(call), asyncio.ensure_future(member.lost.wait())
    try:
        await asyncio.wait({work, lost}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ServerGone(f"{member.server.url} was lost")
        return work.result()
    finally:
        work.cancel()
        lost.cancel()
