"""The engines of this library by their names in `engine.kind`. What is heavy is imported when one is opened."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crl.config.engines import EngineKind
from crl.config.play import ModelConfig
from crl.config.servers import EngineConfig
from crl.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from crl.engine.protocol import Engine
    from crl.lockstep import Turnstile


@dataclass(frozen=True, slots=True)
class Opening:
    """What an engine is opened from."""

    role: str  # "actor" | "extractor"
    source: str  # the model's folder or hub name
    model: "PreTrainedModel"  # on `device` for kinds that hold it, else on the CPU
    tokenizer: "PreTrainedTokenizerBase"
    end_ids: frozenset[int]  # end a turn
    vocabulary: int  # token ids that the model takes
    sessions: int  # contexts that live at once
    settings: ModelConfig
    engine: EngineConfig
    device: str
    urls: tuple[str, ...]  # the role's servers, for kinds that are remote
    turnstile: "Turnstile | None"  # None: serve requests as they come

    @property
    def shapes(self) -> dict[str, "torch.Size"]:
        return {name: tensor.shape for name, tensor in self.model.state_dict().items()}


class Transformers(EngineKind):
    """Any Hugging Face causal LM, in this process."""

    lockstep = True
    holds_model = True

    @classmethod
    def open(cls, opening: Opening) -> "Engine":
        from crl.engine.transformers import TransformersEngine

        return TransformersEngine(
            opening.model, opening.tokenizer, max_sessions=opening.sessions, turnstile=opening.turnstile,
            end_ids=opening.end_ids, context_tokens=opening.settings.context_tokens,
        )  # fmt: skip


class Vllm(EngineKind):
    """vLLM in this process. It holds a copy of its own of what it serves."""

    paged = True
    compiles = True
    extra = "vllm"

    @classmethod
    def open(cls, opening: Opening) -> "Engine":
        from crl.engine.vllm.in_process import VllmEngine
        from crl.engine.vllm.serve import servable

        dtype = opening.settings.dtype
        with tempfile.TemporaryDirectory(prefix=f"crl-{opening.role}-") as folder:
            served = servable(opening.source, Path(folder) / opening.role, dtype=dtype, device=opening.device)
            return VllmEngine(
                served, opening.tokenizer, max_sessions=opening.sessions, dtype=dtype, device=opening.device,
                shapes=opening.shapes, vocabulary=opening.vocabulary, end_ids=opening.end_ids,
                context_tokens=opening.settings.context_tokens, config=opening.engine,
            )  # fmt: skip


class Server(EngineKind):
    """vLLM servers, which are given the source's weights, whatever they hold."""

    remote = True
    paged = True
    extra = "servers"

    @classmethod
    def open(cls, opening: Opening) -> "Engine":
        from crl.engine.vllm.server import ServerEngine

        if not opening.urls:
            raise ConfigError(
                f"engine.kind = 'server', servers.{opening.role} = []: no address. Remedy: name vLLM servers there or in "
                f"CRL_{opening.role.upper()}_URLS (`make servers` starts some), or engine.kind: transformers"
            )
        return ServerEngine(
            opening.urls, opening.tokenizer, weights=opening.model.state_dict(), name=opening.role,
            shapes=opening.shapes, vocabulary=opening.vocabulary, end_ids=opening.end_ids,
            context_tokens=opening.settings.context_tokens, config=opening.engine,
        )  # fmt: skip
