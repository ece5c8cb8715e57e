"""One forward of a causal LM over a range of cache slots: token ids in, the last token's logits out."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from transformers import PreTrainedModel

from crl.engine.attention import share_heads
from crl.engine.kv_cache import SlotCache
from crl.errors import EngineError
from crl.models.resolve import vocabulary_of

_COLUMN_BLOCK = 16  # used columns are rounded up to it: a vector register of float32
_TRIAL = (3, 5)  # tokens of the rows that are tried
_TAIL = 40  # tokens after a row, by which a processor chooses other kernels than for the row alone
# Mean |log-prob in pieces - whole| over the vocabulary, in nats, that is rounding: always, and at most.
_ROUNDING_NATS = {torch.float32: (1e-3, 1e-3), torch.bfloat16: (0.1, 0.5)}
# In between it is, up to so many times what a tail of other tokens does to the same log-probs. In bfloat16 on a processor
# with matrix tiles (AMX) that is 0.2 nats for SmolLM2-135M, whose whole forward is up to 0.3 from float32's there.
_TIMES_TAIL = 2.0


class Decoder:
    """A model with its slot cache. Works for any HF causal LM whose layers attend to the full context.

    A model is tried first: some count positions of their own, or keep their past elsewhere.
    """

    def __init__(self, model: PreTrainedModel, slots: int, context_tokens: int) -> None:
        """Raises EngineError, by the model's name, where it cannot be fed in pieces."""
        _check_attention(model, context_tokens)
        share_heads(model)
        self.model = model.eval()
        self.cache = SlotCache(slots, context_tokens)
        self.context_tokens = context_tokens
        # Row p of the additive causal mask is a window of this strip: zeros up to column p, then the minimum.
        strip = torch.zeros(2 * context_tokens, dtype=model.dtype, device=model.device)
        strip[context_tokens:] = torch.finfo(model.dtype).min
        self._mask_strip = strip
        self._try_pieces()

    @torch.inference_mode()
    def last_logits(self, first: int, chunks: Sequence[Sequence[int]], cached: Sequence[int]) -> torch.Tensor:
        """Append `chunks[i]` to the context in slot `first + i`, which holds `cached[i]` tokens; [B, V] logits.

        Chunks are padded on the left, so that every row's last token stands in the last column. A row
        with an empty chunk is padding altogether; its logits mean nothing.
        """
        length_B = np.array([len(chunk) for chunk in chunks])
        longest = int(length_B.max())
        column_T = np.arange(longest)
        is_token_BT = column_T >= (longest - length_B)[:, None]
        position_BT = np.where(is_token_BT, column_T + (np.array(cached) + length_B - longest)[:, None], 0)
        ids_BT = np.zeros_like(position_BT)
        ids_BT[is_token_BT] = np.fromiter(chain.from_iterable(chunks), dtype=np.int64, count=int(length_B.sum()))
        written_BT = np.where(is_token_BT, position_BT, self.context_tokens)

        used = min(-(-int(position_BT.max() + 1) // _COLUMN_BLOCK) * _COLUMN_BLOCK, self.context_tokens)
        device = self.model.device
        positions = torch.from_numpy(position_BT).to(device)
        self.cache.window.select(first, first + len(chunks), used, torch.from_numpy(written_BT).to(device))
        output = self.model(
            input_ids=torch.from_numpy(ids_BT).to(device),
            attention_mask=self._causal_mask(positions, used),
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1]

    @torch.inference_mode()
    def _try_pieces(self) -> None:
        """Feed rows of unlike length at once, all but their last tokens, and those by turns: the logits are a whole forward's.

        Between the two other rows pass: some models (RecurrentGemma) keep a state in themselves.
        """
        model, limit = self.model, min(self.context_tokens, vocabulary_of(self.model))
        rows = [list(range(min(length, limit))) for length in _TRIAL[: self.cache.window.slots]]
        try:
            self.last_logits(0, [row[:-1] for row in rows], [0] * len(rows))
            whole = [model(torch.tensor([row], device=model.device), use_cache=False).logits[:, -1] for row in rows]
            pieces = [self.last_logits(slot, [row[-1:]], [len(row) - 1]) for slot, row in enumerate(rows)]
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise _unfit(model, f"{type(error).__name__}: {error}") from error
        nats, (rounding, at_most) = _nats_between(pieces, whole), _ROUNDING_NATS[model.dtype]
        if rounding < nats <= at_most:
            with_tail = [self._before_a_tail(row, limit) for row in rows]
            rounding = max(rounding, _TIMES_TAIL * _nats_between(with_tail, whole))
        if not nats <= rounding:
            raise _unfit(model, f"then its log-probs are {nats:.2g} nats from a whole forward's")

    def _before_a_tail(self, row: list[int], limit: int) -> torch.Tensor:
        """[1, V] logits of the row's last token where more tokens follow, which it does not see."""
        followed = row + [token % limit for token in range(_TAIL)]
        ids = torch.tensor([followed[: self.context_tokens]], device=self.model.device)
        return self.model(ids, use_cache=False).logits[:, len(row) - 1]

    def _causal_mask(self, positions_BT: torch.Tensor, used: int) -> torch.Tensor:
        """Additive [B, 1, T, used]: a token at position p sees columns 0..p (padding, at 0, sees one)."""
        windows = self._mask_strip.unfold(0, used, 1)
        start = self.context_tokens - 1 - positions_BT
        return windows.index_select(0, start.view(-1)).view(positions_BT.shape[0], 1, -1, used)


def _nats_between(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> float:
    apart = torch.cat(list(some)).float().log_softmax(-1) - torch.cat(list(others)).float().log_softmax(-1)
    return float(apart.abs().mean())


def _unfit(model: PreTrainedModel, seen: str) -> EngineError:
    return EngineError(
        f"{type(model).__name__} cannot be fed in pieces from a cache of this engine: {seen}. Remedy: another engine.kind "
        "(vllm, server), or another model"
    )


def _check_attention(model: PreTrainedModel, context_tokens: int) -> None:
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None)
    slides = window is not None and window < context_tokens and (not kinds or "sliding_attention" in kinds)
    foreign = kinds - {"full_attention", "sliding_attention"}
    if slides or foreign:
        what = f"layers of type {sorted(foreign)}" if foreign else f"a sliding window of {window} tokens"
        raise EngineError(
            f"{type(model).__name__} has {what}; this engine attends to the full context of {context_tokens} tokens. "
            "Remedy: a context_tokens within the window, or another engine"
        )
    if model.config._attn_implementation not in ("sdpa", "eager"):
        model.set_attn_implementation("sdpa")  # flash and flex kernels take no 4-D mask
