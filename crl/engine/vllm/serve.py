"""How a vLLM server is started: its command line and environment, and a model folder that it serves rightly."""

import sys
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig

from crl.config.addresses import secret
from crl.config.learn import LoraConfig
from crl.config.play import ModelConfig
from crl.config.servers import EngineConfig
from crl.engine.vllm.adapters import lora_arguments
from crl.errors import ConfigError
from crl.models.resolve import load_model, resolve_device, save_model

EXTENSION = "crl.engine.vllm.extension.SamplerExtension"
TOKENIZER = "tokenizer"  # subfolder of a servable model
EMBEDDER = "embedder"
CPU_BLOCK_TOKENS = 32  # a prefix is cached in whole blocks: vLLM's 128 would miss most of a short context
_CPU_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
_ROOT = Path(__file__).parents[3]


def servable(source: str | Path, folder: Path, *, dtype: str = "float32", device: str = "auto") -> Path:
    """Write a copy of a causal LM that vLLM serves as it is meant; returns `folder`, replaced as a whole.

    Two things differ. The tokenizer lies in a folder of its own, without a config.json: beside one of type Qwen2,
    transformers 5 replaces a plain tokenizer by Qwen2's. Tied embeddings are untied: vLLM on a CPU packs the output
    layer once and keeps the old one, silently, when tied weights are replaced. Raises ConfigError for a model that
    vLLM cannot run on this device.
    """
    model, tokenizer = load_model(source, dtype)
    if resolve_device(device) == "cpu":
        _check_heads(model.config, str(source))
    if model.config.tie_word_embeddings:
        model.config.tie_word_embeddings = False
        table = model.get_input_embeddings().weight.detach().clone()
        model.get_output_embeddings().weight = torch.nn.Parameter(table)
    save_model(model, tokenizer, folder)
    tokenizer.save_pretrained(folder / TOKENIZER)
    return folder


def _check_heads(shape: PretrainedConfig, source: str) -> None:
    width = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    if width not in _CPU_HEADS:
        raise ConfigError(
            f"{source}: heads of {width} (hidden_size {shape.hidden_size}, {shape.num_attention_heads} heads); vLLM on a "
            f"CPU computes heads of {', '.join(map(str, _CPU_HEADS))}. Remedy: fewer heads for a model from scratch "
            "(models.actor.heads, models.extractor.heads), or engine.kind: transformers"
        )


def arguments(
    model: str | Path, config: EngineConfig, settings: ModelConfig | None, device: str, lora: LoraConfig | None = None
) -> dict[str, Any]:
    """vLLM's engine arguments for a model that generates; `settings` bound its context and name its dtype.

    `lora`: its weights stay, and it takes adapters like that. Raises ConfigError where vLLM computes none.
    On a CPU prompts are not split over steps: after a part of a prompt vLLM rewinds the request's random generator, which
    no CPU generator can, and the engine would die. So a step takes a whole context at least.
    """
    context_tokens = settings.context_tokens if settings else 0
    values = _computing(model, config, device) | {
        "logprobs_mode": "raw_logprobs",
        "generation_config": "vllm",
        "worker_extension_cls": EXTENSION,
        "enable_prefix_caching": config.prefix_caching,
    }
    if resolve_device(device) == "cpu":
        values |= {
            "block_size": CPU_BLOCK_TOKENS,
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(4096, context_tokens),
        }
    if settings is not None:
        values |= {"max_model_len": context_tokens, "dtype": settings.dtype}
    if lora is not None:
        values |= lora_arguments(lora, settings.dtype if settings else None, resolve_device(device))
    tokenizer = Path(model) / TOKENIZER
    return values | ({"tokenizer": str(tokenizer)} if tokenizer.is_dir() else {})


def _computing(model: str | Path, config: EngineConfig, device: str) -> dict[str, Any]:
    values = {"model": str(model), "tensor_parallel_size": config.tensor_parallel}
    if config.eager:
        values["enforce_eager"] = True
    if resolve_device(device) == "cuda":
        values["gpu_memory_utilization"] = config.memory_share
    elif config.tensor_parallel == 1:
        # The model is computed by the engine's process: a worker of its own would spin on a core to hear of work.
        values["distributed_executor_backend"] = "uni"
    return values


def command(
    model: str | Path,
    *,
    port: int,
    role: str,
    config: EngineConfig,
    model_config: ModelConfig | None = None,
    host: str = "127.0.0.1",
    device: str = "auto",
    lora: LoraConfig | None = None,
) -> tuple[list[str], dict[str, str]]:
    """(argv, environment) of `role`'s server: "actor" or "extractor" generate, "embedder" embeds.

    `model` is what `servable` wrote or a hub name; `model_config` bounds the context; with `lora` it takes adapters like
    that. The API key (CRL_VLLM_API_KEY) travels in the environment, never in argv. Development endpoints are on, since
    weights are replaced through them, and no key guards those: listen on a private network only.
    """
    if role == EMBEDDER:
        values = _computing(model, config, device) | {"runner": "pooling", "dtype": "float32"}
    else:
        values = arguments(model, config, model_config, device, lora)
    values |= {"host": host, "port": port, "served_model_name": role}
    values |= {"enable_log_requests": False, "disable_uvicorn_access_log": True}
    argv = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    variables = environment(config, device) | ({"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"} if lora else {})
    return argv + [_flag(name, value) for name, value in values.items()], variables


def _flag(name: str, value: Any) -> str:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option}={value}"


def environment(config: EngineConfig, device: str = "auto") -> dict[str, str]:
    """What vLLM reads from the environment, with the API key where one is set."""
    values = {
        "VLLM_SERVER_DEV_MODE": "1",  # /collective_rpc: weights are replaced without a restart
        "VLLM_USE_V2_MODEL_RUNNER": "0",  # the other runner has another sampler, which the extension does not know
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "PYTHONPATH": str(_ROOT),  # the workers import the extension
    }
    if resolve_device(device) == "cpu":
        values |= {
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_CPU_KVCACHE_SPACE": str(config.cpu_cache_gib),
            "OMP_NUM_THREADS": "1",
        }
        if config.tensor_parallel == 1:
            values["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # or vLLM overrules the executor that is asked for
    if config.eager:
        values["TORCH_COMPILE_DISABLE"] = "1"  # the sampler would still be compiled, for its first request
    if key := secret("VLLM_API_KEY"):
        values["VLLM_API_KEY"] = key
    return values
