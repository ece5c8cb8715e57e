"""vLLM in this process (`engine.kind: vllm`): its synchronous engine, stepped by a thread of ours.

    session.generate ─► Worker's queue ─► LLMEngine.add_request / step ─► completion

Each request carries its whole context; vLLM's prefix cache holds what earlier turns computed. The cache is salted
with the version of the weights, so nothing computed by old weights is ever used by a request of new ones.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from crl.config.servers import EngineConfig
from crl.engine.answers import Answer, completion_of, fault, resolve_threadsafe
from crl.engine.scheduler import Request
from crl.engine.session import ContextSession
from crl.engine.text import TokenText
from crl.engine.vllm.requests import finish, settings
from crl.engine.vllm.serve import CPU_BLOCK_TOKENS, EXTENSION, environment, step_tokens, tokenizer_of
from crl.engine.weights import Shapes, refuse_misfit, write_weights
from crl.engine.worker import Worker
from crl.errors import ConfigError, EngineError
from crl.models.building import BUILDING
from crl.models.resolve import resolve_device
from crl.types import Completion


@dataclass(slots=True)
class VllmCounts:
    generated_tokens: float = 0.0
    prefilled_tokens: float = 0.0  # of prompts, whether or not the prefix cache had them
    steps: float = 0.0
    busy_s: float = 0.0


class VllmEngine:
    """Implements `engine.protocol.Engine`. One per process and model; asynchronous schedule only."""

    def __init__(
        self,
        model: Path,
        tokenizer: PreTrainedTokenizerBase,
        *,
        shapes: Shapes,
        vocabulary: int,
        end_ids: Iterable[int],
        max_sessions: int,
        context_tokens: int,
        config: EngineConfig,
        dtype: str = "float32",
        device: str = "auto",
        version: int = 0,
    ) -> None:
        """`model` is what `serve.servable` wrote; `shapes` are those of its weights, `vocabulary` the token ids it takes."""
        self.version = version
        self._shapes, self._vocabulary = shapes, vocabulary
        self._name, self._parallel = model.name, config.tensor_parallel
        self._text, self._end_ids = TokenText(tokenizer), frozenset(end_ids)
        self._context_tokens = context_tokens
        self._counters = VllmCounts()
        self._running: dict[str, Request] = {}  # by vLLM's name of the request
        self._started = 0
        self._closed = False
        self._vllm = _start(model, max_sessions, context_tokens, config, dtype, device)
        self._worker = Worker(self._serve, lambda: bool(self._running), "crl-vllm")

    def session(self, key: str) -> ContextSession:
        return ContextSession(key, self.submit, context_tokens=self._context_tokens, vocabulary=self._vocabulary)

    def stats(self) -> dict[str, float]:
        """Counters since the engine was made."""
        return asdict(self._counters)

    async def submit(self, request: Request) -> Completion:
        if self._closed:
            raise EngineError("the engine is closed. Remedy: finish all sessions before closing it")
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

    def close(self) -> None:
        """Stop serving and free vLLM's memory; whoever still waits gets an EngineError."""
        if self._closed:
            return
        self._closed = True
        waiting = self._worker.close() + self._abandon()
        resolve_threadsafe(
            [(request, EngineError("the engine was closed while this request waited")) for request in waiting]
        )
        self._vllm.engine_core.shutdown()

    def _serve(self, line: list[Request]) -> list[Request]:
        began = time.perf_counter()
        answers: list[tuple[Request, Answer]] = []
        try:
            self._drop_cancelled()
            for request in line:
                if not request.cancelled:
                    answers += self._start_request(request)
            if self._running:
                self._counters.steps += 1
                answers += [self._end(output) for output in self._vllm.step() if output.finished]
        except Exception as error:  # noqa: BLE001  whatever vLLM raises must reach those who wait for it
            answers += [(request, fault(error)) for request in self._abandon()]
        self._counters.busy_s += time.perf_counter() - began
        resolve_threadsafe(answers)
        return []

    def _start_request(self, request: Request) -> list[tuple[Request, Answer]]:
        """Hand a request to vLLM; returns its answer if it was refused."""
        from vllm import SamplingParams

        context = request.context
        prompt = context.history + list(request.new_ids)
        name = f"r{self._started}"
        try:
            params = SamplingParams(**settings(request.sampling, self._context_tokens - len(prompt), self._end_ids))
            salted = {"prompt_token_ids": prompt, "cache_salt": f"v{self.version}"}
            self._vllm.add_request(name, salted, params)
        except (ValueError, EngineError) as error:
            context.closed = True
            return [(request, error if isinstance(error, EngineError) else fault(error))]
        self._started += 1
        self._running[name] = request
        context.history = prompt
        request.version = self.version
        self._counters.prefilled_tokens += len(prompt)
        return []

    def _end(self, output: Any) -> tuple[Request, Answer]:
        request, result = self._running.pop(output.request_id), output.outputs[0]
        ids = list(result.token_ids)
        try:
            logprobs = [at[token].logprob for at, token in zip(result.logprobs or (), ids, strict=True)]
            finish(request, ids, logprobs, result.finish_reason)
        except EngineError as error:
            request.context.closed = True
            return request, error
        self._counters.generated_tokens += len(ids)
        return request, completion_of(request, self._text, self._end_ids)

    def _drop_cancelled(self) -> None:
        gone = [name for name, request in self._running.items() if request.cancelled]
        if gone:
            self._vllm.abort_request(gone)
            for name in gone:
                del self._running[name]

    def _abandon(self) -> list[Request]:
        given_up, self._running = self._running, {}
        for request in given_up.values():
            request.context.closed = True
        if given_up:
            self._vllm.abort_request(list(given_up))
        return list(given_up.values())


def _start(model: Path, max_sessions: int, context_tokens: int, config: EngineConfig, dtype: str, device: str) -> Any:
    """vLLM's engine, in this process (its workers too, unless several GPUs share the model)."""
    on_gpu = resolve_device(device) == "cuda"
    os.environ.update(environment(config, device=device) | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"})
    try:
        from vllm.engine.arg_utils import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine
    except ImportError as error:
        raise ConfigError(
            f"engine.kind = 'vllm': {error}. Remedy: `make cluster`, or engine.kind: transformers"
        ) from None
    special: dict[str, Any] = {"gpu_memory_utilization": config.memory_share}
    if not on_gpu:
        special = {"block_size": CPU_BLOCK_TOKENS, "enable_chunked_prefill": False}
        special["max_num_batched_tokens"] = step_tokens(context_tokens)
    # vLLM looks at every attribute of every loaded module, and stumbles over llvmlite's, where numba was loaded before.
    stumbling = sys.modules.pop("llvmlite.binding.ffi", None)
    try:
        arguments = EngineArgs(
            model=str(model), tokenizer=tokenizer_of(model), dtype=dtype, max_model_len=context_tokens,
            max_num_seqs=max_sessions, tensor_parallel_size=config.tensor_parallel, enforce_eager=config.eager,
            distributed_executor_backend="uni" if config.tensor_parallel == 1 else "mp", seed=0,
            enable_prefix_caching=config.prefix_caching, logprobs_mode="raw_logprobs", generation_config="vllm",
            worker_extension_cls=EXTENSION, disable_log_stats=True, **special,
        )  # fmt: skip
        with BUILDING:
            engine = LLMEngine.from_engine_args(arguments)
    finally:
        if stumbling is not None:
            sys.modules.setdefault("llvmlite.binding.ffi", stumbling)
    engine.collective_rpc("crl_temper_logprobs")
    return engine
