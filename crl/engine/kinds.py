"""The engines of this library by their names in `engine.kind`. What is heavy is imported when one is opened."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crl.config.engines import EngineKind
from crl.config.learn import LoraConfig
from crl.config.play import ModelConfig
from crl.config.servers import EngineConfig

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from crl.engine.protocol import Engine
    from crl.lockstep import Turnstile


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an engine is opened from."""

    role: str  # "actor" | "extractor"
    source: str  # the model's folder or hub name
    model: "PreTrainedModel | None"  # on `device` for kinds that hold it, else on the CPU; None: servers have it
    tokenizer: "PreTrainedTokenizerBase"
    end_ids: frozenset[int]  # end a turn
    vocabulary: int  # token ids that the model takes
    sessions: int  # contexts that live at once
    settings: ModelConfig
    engine: EngineConfig
    device: str
    urls: tuple[str, ...] = ()  # the role's servers, for kinds that are remote
    turnstile: "Turnstile | None" = None  # None: serve requests as they come
    lora: LoraConfig | None = None  # of the adapter in `model`, whose weights alone the engine will be given

    @property
    def shapes(self) -> dict[str, "torch.Size"]:
        """Of the weights that the engine will be given."""
        from crl.models.adapter import moving_weights

        return {name: tensor.shape for name, tensor in moving_weights(self.model).items()}


class Transformers(EngineKind):
    """Any Hugging Face causal LM, in this process."""

    lockstep = True
    holds_model = True
    adapters = True
    constrains = True

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
    adapters = True
    compiles = True
    extra = "vllm"

    @classmethod
    def open(cls, opening: Opening) -> "Engine":
        from crl.engine.vllm.in_process import VllmEngine

        return VllmEngine(opening)


class Server(EngineKind):
    """vLLM servers, which are given the source's weights, whatever they hold."""

    remote = True
    paged = True
    adapters = True
    extra = "servers"

    @classmethod
    def open(cls, opening: Opening) -> "Engine":
        from crl.engine.vllm.server import ServerEngine

        return ServerEngine(opening)
