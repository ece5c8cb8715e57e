"""The engine that the parameters choose, for a model folder or name; and the embedder."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crl.config import Config
from crl.config.addresses import addresses
from crl.embedding.pretrained import load_embedder
from crl.embedding.protocol import Embedder
from crl.engine.protocol import Engine
from crl.engine.transformers import TransformersEngine
from crl.errors import ConfigError
from crl.lockstep import Turnstile
from crl.models.chat import ChatFormat
from crl.models.resolve import load_model


def open_engine(
    config: Config, role: str, source: str, *, sessions: int, turnstile: Turnstile | None
) -> tuple[Any, ChatFormat, Engine]:
    """Tokenizer, chat format and engine of `role` ("actor", "extractor").

    Engines that cannot be stepped in lockstep take no part in the turnstile: their requests are served as they come.
    Servers are given the source's weights, whatever they hold. Raises ConfigError where something is missing.
    """
    model_config = config.role(role).model
    on = config.run.device if config.engine.kind == "transformers" else "cpu"  # vLLM holds the copy that generates
    model, tokenizer = load_model(source, model_config.dtype, on)
    chat = ChatFormat(tokenizer)
    match config.engine.kind:
        case "transformers":
            engine: Engine = TransformersEngine(
                model, tokenizer, end_ids=chat.end_ids, max_sessions=sessions,
                context_tokens=model_config.context_tokens, turnstile=turnstile,
            )  # fmt: skip
        case "vllm":
            engine = _vllm(config, role, source, model, tokenizer, chat, sessions)
        case "server":
            engine = _servers(config, role, model, tokenizer, chat)
    return tokenizer, chat, engine


def open_embedder(config: Config, device: str | None = None) -> Embedder:
    """The embedder's servers where some are named (servers.embedder, CRL_EMBEDDER_URLS), else the model in this process.

    There it lies on `device`, by default `run.device`.
    """
    if urls := addresses(config.servers).embedder:
        from crl.embedding.served import ServerEmbedder

        return ServerEmbedder(urls, config.models.embedder, wait_s=config.engine.health_wait_s)
    return load_embedder(config.models.embedder, device or config.run.device)


def _vllm(
    config: Config,
    role: str,
    source: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    chat: ChatFormat,
    sessions: int,
) -> Engine:
    from crl.engine.vllm.in_process import VllmEngine
    from crl.engine.vllm.serve import servable

    model_config = config.role(role).model
    with tempfile.TemporaryDirectory(prefix=f"crl-{role}-") as folder:
        served = servable(source, Path(folder) / role, dtype=model_config.dtype, device=config.run.device)
        return VllmEngine(
            served, tokenizer, shapes=_shapes(model), end_ids=chat.end_ids, max_sessions=sessions,
            context_tokens=model_config.context_tokens, config=config.engine, dtype=model_config.dtype,
            device=config.run.device,
        )  # fmt: skip


def _servers(
    config: Config, role: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, chat: ChatFormat
) -> Engine:
    from crl.engine.vllm.server import ServerEngine

    return ServerEngine(
        _urls(config, role), tokenizer, shapes=_shapes(model), end_ids=chat.end_ids,
        context_tokens=config.role(role).model.context_tokens, config=config.engine, weights=model.state_dict(),
        name=role,
    )  # fmt: skip


def _urls(config: Config, role: str) -> Sequence[str]:
    urls = getattr(addresses(config.servers), role)
    if not urls:
        raise ConfigError(
            f"engine.kind = 'server', servers.{role} = []: no address. Remedy: name vLLM servers there or in "
            f"CRL_{role.upper()}_URLS (`make servers` starts some), or engine.kind: transformers"
        )
    return urls


def _shapes(model: PreTrainedModel) -> dict[str, Any]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}
