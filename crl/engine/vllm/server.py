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
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import torch

from crl.config.addresses import secret
from crl.engine.kinds import Opening
from crl.engine.session import Context, Request, SessionEngine
from crl.engine.vllm.adapters import AdapterFolders
from crl.engine.vllm.fleet import Fleet, Member, Weights
from crl.engine.vllm.http import Generated, ServerGone, VllmServer
from crl.engine.vllm.requests import finish, settings
from crl.engine.weights import refuse_misfit, write_weights
from crl.errors import ConfigError, EngineError
from crl.models.adapter import base_weights, moving_weights
from crl.types import Completion

_TRIES = 4  # of one request, where servers answer but fail


class ServerEngine(SessionEngine):
    """Asynchronous schedule only; sessions may live on any event loop.

    The opening's weights are loaded into every server before it is first asked, whatever it was started with. With an
    adapter they are loaded once, and then each version of it.
    """

    def __init__(self, opening: Opening) -> None:
        """Raises ConfigError without an address."""
        super().__init__(opening.tokenizer, opening.end_ids, opening.vocabulary, opening.settings.context_tokens)
        role, config = opening.role, opening.engine
        if not opening.urls:
            raise ConfigError(
                f"engine.kind = {config.kind!r}, servers.{role} = []: no address. Remedy: name vLLM servers there or in "
                f"CRL_{role.upper()}_URLS (`make servers` starts some), or engine.kind: transformers"
            )
        self._name, self._timeout_s = role, config.request_timeout_s
        self._serving: set[asyncio.Task] = set()
        self._served_s, self._busy_since = 0.0, 0.0
        self._homes: weakref.WeakKeyDictionary[Context, Member] = weakref.WeakKeyDictionary()
        self._id = uuid.uuid4().hex[:8]
        self._own = Path(config.weights_folder or tempfile.gettempdir()) / f"crl-{role}-{self._id}"
        self._adapted, self._adapters, self._base = opening.lora is not None, None, None
        weights = self._first_weights(opening)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crl-servers", daemon=True)
        self._thread.start()
        self._fleet = self._run(self._open(opening, weights))

    @property
    def version(self) -> int:
        return self._fleet.newest.version

    @property
    def busy_s(self) -> float:
        return self._served_s + (time.perf_counter() - self._busy_since if self._serving else 0.0)

    async def _answer(self, request: Request) -> Completion:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._serve(request), self._loop))

    def load_weights(self, state: dict[str, torch.Tensor], version: int) -> float:
        """Write the weights, have every server load them; returns seconds. Running requests go on."""
        start = time.perf_counter()
        refuse_misfit(self._shapes, state, self._name)
        weights = self._write(state, version)
        self._run(self._fleet.publish(weights))
        if self._adapters is None:
            for stale in set(self._own.iterdir()) - {weights.folder}:
                shutil.rmtree(stale, ignore_errors=True)
        return time.perf_counter() - start

    def _shut(self) -> list[Request]:
        """Servers go on, with the weights that they hold; those who wait are told on the engine's own loop."""
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self._own, ignore_errors=True)
        return []

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _first_weights(self, opening: Opening) -> Weights:
        self._shapes = opening.shapes
        if self._adapted:
            self._adapters, self._base = AdapterFolders(self._own, opening.model), self._own / "base"
            self._base.mkdir(parents=True)
            write_weights(base_weights(opening.model), self._base)
        return self._write(moving_weights(opening.model), 0)

    def _write(self, state: dict[str, torch.Tensor], version: int) -> Weights:
        name = f"v{version}-{uuid.uuid4().hex[:6]}"
        if self._adapters is not None:
            return Weights(self._adapters.write(name, state), version, self._adapter_of(version), self._base)
        folder = self._own / name
        folder.mkdir(parents=True)
        write_weights(state, folder)
        return Weights(folder, version)

    def _adapter_of(self, version: int) -> str | None:
        """The name of a version of the adapter, which all processes know."""
        return f"{self._name}-v{version}" if self._adapted else None

    async def _open(self, opening: Opening, weights: Weights) -> Fleet:
        servers = [VllmServer(url, secret("VLLM_API_KEY"), self._timeout_s) for url in opening.urls]
        return Fleet(servers, weights, self.context_tokens, opening.engine.health_wait_s)

    async def _end(self) -> None:
        waiting = list(self._serving)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await self._fleet.close()

    async def _serve(self, request: Request) -> Completion:
        if not self._serving:
            self._busy_since = time.perf_counter()
        self._serving.add(asyncio.current_task())
        try:
            prompt = request.context.history + list(request.new_ids)
            async with asyncio.timeout(self._timeout_s):
                generated = await self._generate(request, prompt)
            request.context.history = prompt
            finish(request, *generated)
        except TimeoutError:
            raise EngineError(
                f"request {request.id} took longer than engine.request_timeout_s = {self._timeout_s}. "
                "Remedy: raise it, or start more servers"
            ) from None
        except asyncio.CancelledError:
            if self._closed:
                raise EngineError("the engine was closed while this request waited") from None
            raise
        finally:
            self._serving.discard(asyncio.current_task())
            if not self._serving:
                self._served_s += time.perf_counter() - self._busy_since
        self._complete(request)
        return request.answer

    async def _generate(self, request: Request, prompt: list[int]) -> Generated:
        """From the session's server, or from another one when that is lost on the way."""
        room = self.context_tokens - len(prompt)
        body = settings(request.sampling, room, end_ids=self._end_ids, never_ids=self._never_ids)
        failures = 0
        while True:
            member = await self._fleet.pick(self._homes.get(request.context))
            self._homes[request.context] = member
            if request.sampling.temperature not in (0, 1) and not member.tempered:
                raise EngineError(
                    f"{member.server.url} takes log-probs before the temperature ({request.sampling.temperature}): it runs "
                    "without our extension. Remedy: start it with crl.engine.vllm.serve.command, or sample at 1.0"
                )
            request.version, salt = member.holds.version, f"{self._id}-{member.holds.version}"
            try:
                return await _unless_lost(member, member.server.complete(prompt, body, salt, member.holds.adapter))
            except ServerGone as gone:
                self._fleet.lose(member, str(gone))
                failures += gone.answered
                if failures >= _TRIES:
                    raise EngineError(
                        f"request {request.id} failed {failures} times: {gone}. Remedy: see its log"
                    ) from gone


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


class Follower(ServerEngine):
    """An engine on servers whose weights another process looks after: it generates, and never loads anything.

    The head's engine publishes weights and brings servers that were lost up to date. A follower that loaded as well could
    put older weights over newer ones, and N nodes would load everything N times. A completion's version is the one that
    was last followed: where the head publishes meanwhile, it is the older one, as everywhere (the version of the weights
    at a request's start, or before).
    """

    def follow(self, version: int) -> None:
        """Tell which version the servers have now."""
        self._run(self._fleet.follow(Weights(None, version, self._adapter_of(version))))

    def load_weights(self, state: dict[str, torch.Tensor], version: int) -> float:
        raise EngineError("a follower loads no weights. Remedy: publish them from the head's engine")

    def _first_weights(self, opening: Opening) -> Weights:
        return Weights(None, 0, self._adapter_of(0))
