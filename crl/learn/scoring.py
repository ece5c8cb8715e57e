"""Log-probs of chosen tokens under any Hugging Face causal LM, without logits for the others."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from crl.errors import ConfigError
from crl.learn.tail import has_sparse_tail, tail_at

LOGITS_PER_CHUNK = 2**27  # 0.5 GiB of float32 logits at once; more rows are scored in recomputed chunks


@dataclass(frozen=True, slots=True)
class Ways:
    """What of a model's forward pass may be left out."""

    head_is_plain: bool  # its logits are head(decoder(x)): the head is asked of the listed positions alone
    sparse_tail: bool  # so is what its last layer does by token


def ways_of(model: PreTrainedModel, *, recomputes: bool = False) -> Ways:
    """Found by a probe. `recomputes`: the model's layers run again in the backward pass, when the hooks of `tail_at` are gone.

    Raises ConfigError for a model that is not causal.
    """
    was_training, probe = model.training, torch.tensor([[0, 1, 0, 1], [0, 1, 0, 0]], device=model.device)
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=probe, use_cache=False).logits
    _check_causal(model, logits)
    plain = _head_is_plain(model, probe, logits)
    ways = Ways(plain, plain and not recomputes and has_sparse_tail(model.get_decoder(), probe))
    model.train(was_training)
    return ways


class TokenScorer(nn.Module):
    """A causal LM that returns log-probs and entropies of the listed positions only.

    In agent trajectories about one token in ten is trainable, so hidden states are selected before the
    vocabulary projection. Models that change the logits after their head (soft caps, scales), or whose decoder
    cannot be called by itself, are found by a probe and take the whole forward pass instead. It is a module so
    that FSDP can shard it.
    """

    def __init__(self, model: PreTrainedModel, ways: Ways | None = None) -> None:
        """`ways`: those of a model like this one, where this one cannot be asked."""
        super().__init__()
        self.model = model
        self._ways = ways or ways_of(model)

    def forward(
        self,
        input_ids: torch.Tensor,
        rows: torch.Tensor,
        targets: torch.Tensor,
        temperatures: torch.Tensor,
        allowed: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """input_ids [B, T]; rows, targets, temperatures [M] -> log-probs [M] and entropies [M] in nats, float32.

        With `allowed` [M, K] they are those of the softmax over these ids alone (-1: none). Entropies carry no gradient.
        """
        if not self._ways.head_is_plain:
            logits = self.model(input_ids=input_ids, use_cache=False).logits
            return _score(logits.flatten(0, 1).index_select(0, rows), targets, temperatures, allowed)
        return self._project(self._hidden(input_ids, rows), targets, temperatures, allowed)

    def _hidden(self, input_ids: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Last hidden states at the rows: [M, D]."""
        decoder = self.model.get_decoder()
        if self._ways.sparse_tail:
            with tail_at(decoder, rows):
                return decoder(input_ids=input_ids, use_cache=False).last_hidden_state.squeeze(0)
        return decoder(input_ids=input_ids, use_cache=False).last_hidden_state.flatten(0, 1).index_select(0, rows)

    def _project(
        self, hidden: torch.Tensor, targets: torch.Tensor, temperatures: torch.Tensor, allowed: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """hidden [M, D] -> log-probs [M] and entropies [M], in chunks where the logits would be large."""
        head = self.model.get_output_embeddings()

        def score(hidden: torch.Tensor, *of_tokens: torch.Tensor | None):
            return _score(head(hidden), *of_tokens)

        chunk_rows = max(1, LOGITS_PER_CHUNK // head.weight.shape[0])
        if len(hidden) <= chunk_rows:
            return score(hidden, targets, temperatures, allowed)
        parts = (hidden, targets, temperatures) if allowed is None else (hidden, targets, temperatures, allowed)
        chunks = zip(*(part.split(chunk_rows) for part in parts), strict=True)
        scored = [checkpoint(score, *chunk, use_reentrant=False) for chunk in chunks]
        return torch.cat([logprobs for logprobs, _ in scored]), torch.cat([entropies for _, entropies in scored])


def _score(
    logits: torch.Tensor, targets: torch.Tensor, temperatures: torch.Tensor, allowed: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """[M, V] logits -> log-probs [M] of the targets and entropies [M] of softmax(logits / temperature)."""
    if allowed is not None:
        return _score_among(logits, targets, temperatures, allowed)
    log_softmax = torch.log_softmax(logits.float() / temperatures.unsqueeze(-1), dim=-1)
    with torch.no_grad():
        entropies = -(log_softmax.exp() * log_softmax).sum(-1)
    return log_softmax.gather(-1, targets.unsqueeze(-1)).squeeze(-1), entropies


def _score_among(
    logits: torch.Tensor, targets: torch.Tensor, temperatures: torch.Tensor, allowed: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `_score`, of the softmax over the ids `allowed` [M, K] alone; each target is one of its row's."""
    none = allowed < 0
    own = logits.gather(-1, allowed.masked_fill(none, 0)).float() / temperatures.unsqueeze(-1)
    log_softmax = own.masked_fill(none, -torch.inf).log_softmax(-1)
    with torch.no_grad():
        entropies = torch.special.entr(log_softmax.exp()).sum(-1)
    place = (allowed == targets.unsqueeze(-1)).int().argmax(-1, keepdim=True)
    return log_softmax.gather(-1, place).squeeze(-1), entropies


@torch.no_grad()
def _head_is_plain(model: PreTrainedModel, probe: torch.Tensor, logits: torch.Tensor) -> bool:
    """Whether `logits`, those of `probe` (ids [B, T]), are exactly head(decoder(x))."""
    head, decoder = model.get_output_embeddings(), model.get_decoder()
    # Llama-4's text model finds no decoder but itself; ModernBERT's is called head, and its head decoder.
    if head is None or decoder is model or not isinstance(decoder, PreTrainedModel):
        return False
    hidden = getattr(decoder(input_ids=probe, use_cache=False), "last_hidden_state", None)
    if hidden is None or hidden.shape[-1] != head.weight.shape[-1]:
        return False
    return torch.allclose(logits.float(), head(hidden).float(), rtol=1e-4, atol=1e-5)


def _check_causal(model: PreTrainedModel, logits: torch.Tensor) -> None:
    """Of two rows [2, T, V] that differ in their last token, all before it must be the same."""
    off = float((logits[0, :-1] - logits[1, :-1]).float().abs().max())
    if not off < (1e-3 if logits.dtype == torch.float32 else 0.1):
        raise ConfigError(
            f"{type(model).__name__} is not causal: a token's logits change by {off:.2g} with what comes after it, so it cannot "
            "learn from log-probs of sampling. Remedy: a decoder (BERT and its kin: is_decoder in config.json)"
        )
