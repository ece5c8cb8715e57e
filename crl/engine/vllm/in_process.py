"""vLLM in this process (`engine.kind: vllm`): its synchronous engine, stepped by a thread of ours.

    session.generate ─► Worker's queue ─► LLMEngine.add_request / step ─► completion

Each request carries its whole context; vLLM's prefix cache holds what earlier turns computed. The cache is salted
with the version of the weights, so nothing computed by old weights is ever used by a request of new ones.
"""

import os
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

import torch

from crl.engine.kinds import Opening
from crl.engine.session import Request, SessionEngine, fault, resolve_threadsafe
from crl.engine.vllm.requests import finish, settings
from crl.engine.vllm.serve import arguments, environment, servable
from crl.engine.weights import refuse_misfit, write_weights
from crl.engine.worker import Worker
from crl.errors import ConfigError, EngineError
from crl.models.resolve import BUILDING
from crl.types import Completion


class VllmEngine(SessionEngine):
    """One per process and model; asynchronous schedule only. It holds a copy of its own of what it serves."""

    def __init__(self, opening: Opening) -> None:
        """Raises ConfigError for a model that vLLM cannot run on the device."""
        super().__init__(opening.tokenizer, opening.end_ids, opening.vocabulary, opening.settings.context_tokens)
        self.version, self.busy_s = 0, 0.0
        self._shapes, self._name = opening.shapes, opening.role
        self._parallel = opening.engine.tensor_parallel
        self._running: dict[str, Request] = {}  # by vLLM's name of the request
        self._numbers = count()
        self._vllm = _start(opening)
        self._worker = Worker(self._serve, lambda: bool(self._running), "crl-vllm")

    async def _answer(self, request: Request) -> Completion:
        self._worker.submit(request)
        self._worker.wake()
        return await request.future

    def load_weights(self, state: dict[str, torch.Tensor], version: int) -> float:
        """Replace all weights in place between two steps; returns seconds. Running requests go on."""
        start = time.perf_counter()
        refuse_misfit(self._shapes, state, self._name)
        with self._worker.paused():
            if self._parallel == 1:
                self._vllm.collective_rpc("reload_weights", kwargs={"weights_iterator": list(state.items())})
            else:  # the other workers are processes of their own
                with tempfile.TemporaryDirectory(prefix="crl-weights-") as folder:
                    write_weights(state, Path(folder))
                    self._vllm.collective_rpc("reload_weights", kwargs={"weights_path": folder})
            self.version = version
            self._vllm.reset_prefix_cache()  # makes room; where requests run it does nothing, and the salt suffices
        return time.perf_counter() - start

    def _shut(self) -> list[Request]:
        waiting = self._worker.close() + self._drop(list(self._running))
        self._vllm.engine_core.shutdown()
        return waiting

    def _serve(self, line: list[Request]) -> list[Request]:
        began = time.perf_counter()
        known = [*self._running.values(), *line]
        try:
            self._drop([name for name, request in self._running.items() if request.cancelled])
            for request in line:
                if not request.cancelled:
                    self._start_request(request)
            if self._running:
                for output in self._vllm.step():
                    if output.finished:
                        self._end(output)
        except Exception as error:  # noqa: BLE001  whatever vLLM raises must reach those who wait for it
            self._drop(list(self._running))
            for request in known:
                request.answer = request.answer or fault(error)
        self.busy_s += time.perf_counter() - began
        resolve_threadsafe([request for request in known if request.answer is not None])
        return []

    def _start_request(self, request: Request) -> None:
        """Hand a request to vLLM; one that it refuses has its answer."""
        from vllm import SamplingParams

        prompt = request.context.history + list(request.new_ids)
        name = f"r{next(self._numbers)}"
        try:
            room = self.context_tokens - len(prompt)
            params = SamplingParams(
                **settings(request.sampling, room, end_ids=self._end_ids, never_ids=self._never_ids)
            )
            salted = {"prompt_token_ids": prompt, "cache_salt": f"v{self.version}"}
            self._vllm.add_request(name, salted, params)
        except (ValueError, EngineError) as error:
            request.answer = error if isinstance(error, EngineError) else fault(error)
            return
        self._running[name] = request
        request.context.history = prompt
        request.version = self.version

    def _end(self, output: Any) -> None:
        request, result = self._running.pop(output.request_id), output.outputs[0]
        ids = list(result.token_ids)
        try:
            logprobs = [at[token].logprob for at, token in zip(result.logprobs or (), ids, strict=True)]
            finish(request, ids, logprobs, result.finish_reason)
            self._complete(request)
        except EngineError as error:
            request.answer = error

    def _drop(self, names: list[str]) -> list[Request]:
        """Have vLLM forget these; returns the requests."""
        dropped = [self._running.pop(name) for name in names]
        if names:
            self._vllm.abort_request(names)
        return dropped


def _start(opening: Opening) -> Any:
    """vLLM's engine, in this process (its workers too, unless several GPUs share the model)."""
    config, dtype = opening.engine, opening.settings.dtype
    os.environ.update(environment(config, device=opening.device) | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"})
    try:
        from vllm.engine.arg_utils import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine
    except ImportError as error:
        raise ConfigError(
            f"engine.kind = 'vllm': {error}. Remedy: `make cluster`, or engine.kind: transformers"
        ) from None
    # vLLM looks at every attribute of every loaded module, and stumbles over llvmlite's, where numba was loaded before.
    stumbling = sys.modules.pop("llvmlite.binding.ffi", None)
    try:
        with tempfile.TemporaryDirectory(prefix=f"crl-{opening.role}-") as folder, BUILDING:
            served = servable(opening.source, Path(folder) / opening.role, dtype=dtype, device=opening.device)
            values = arguments(served, config, opening.settings, opening.device)
            values["distributed_executor_backend"] = "uni" if config.tensor_parallel == 1 else "mp"
            engine = LLMEngine.from_engine_args(
                EngineArgs(**values, max_num_seqs=opening.sessions, seed=0, disable_log_stats=True)
            )
    finally:
        if stumbling is not None:
            sys.modules.setdefault("llvmlite.binding.ffi", stumbling)
    engine.collective_rpc("crl_temper_logprobs")
    return engine
