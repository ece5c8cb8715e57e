"""The engine that the parameters choose, for a model folder or name."""

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crl.config import Config, Role
from crl.config.addresses import addresses
from crl.engine.kinds import Opening
from crl.engine.protocol import Engine
from crl.lockstep import Turnstile
from crl.models.chat import ChatFormat
from crl.models.context import check_context
from crl.models.resolve import load_model, stops_of, vocabulary_of


def open_engine(
    config: Config,
    role: Role,
    source: str,
    *,
    sessions: int,
    turnstile: Turnstile | None,
    loaded: tuple[PreTrainedModel, PreTrainedTokenizerBase] | None = None,
) -> tuple[PreTrainedTokenizerBase, ChatFormat, Engine]:
    """Tokenizer, chat format and engine of `role`. Raises ConfigError where something is missing.

    Engines that cannot be stepped in lockstep take no part in the turnstile: their requests are served as they come.
    `loaded`: what `source` is, with an adapter in it, whose weights alone the engine will be given.
    """
    settings, kind, device = config.role(role).model, config.engine.declared, config.run.device
    model, tokenizer = loaded or load_model(source, settings.dtype, device if kind.holds_model else "cpu")
    check_context(role, source, model.config.to_dict(), settings.context_tokens)
    chat = ChatFormat(tokenizer, stops_of(model), settings.template_arguments)
    opening = Opening(
        role=role, source=source, model=model, tokenizer=tokenizer, end_ids=chat.end_ids,
        vocabulary=vocabulary_of(model), sessions=sessions, settings=settings, engine=config.engine, device=device,
        urls=addresses(config.servers).of_models[role] if kind.remote else (),
        turnstile=turnstile if kind.lockstep else None, lora=config.role(role).learn.adapter if loaded else None,
    )  # fmt: skip
    return tokenizer, chat, kind.open(opening)
