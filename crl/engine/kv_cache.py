"""The KV cache of a running engine: one fixed place ("slot") per session in static tensors.

A forward works on a contiguous range of slots and sees a view of their used columns, so nothing of the
past is ever copied; only the new columns are written. Column p of a slot holds position p.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


@dataclass(eq=False)
class Window:
    """Which part of the cache the current forward uses; one object shared by all layers.

    The extra last column takes the writes of padding, and is never inside the used columns.
    """

    slots: int
    columns: int
    first: int = 0
    last: int = 0  # slots [first, last)
    used: int = 0  # columns [0, used) are attended to
    positions_BT: torch.Tensor | None = None  # column that each new token is written to
    _rows: dict[int, torch.Tensor] = field(default_factory=dict)  # by number of heads

    def select(self, first: int, last: int, used: int, positions_BT: torch.Tensor) -> None:
        self.first, self.last, self.used, self.positions_BT = first, last, used, positions_BT
        self._rows.clear()

    def rows(self, heads: int) -> torch.Tensor:
        """[B * heads * T] indices of the written rows in a cache flattened to [slots * heads * columns, head_dim]."""
        if heads not in self._rows:
            device = self.positions_BT.device
            slot_B11 = torch.arange(self.first, self.last, device=device)[:, None, None]
            head_H1 = torch.arange(heads, device=device)[:, None]
            row_BHT = (slot_B11 * heads + head_H1) * self.columns + self.positions_BT[:, None, :]
            self._rows[heads] = row_BHT.reshape(-1)
        return self._rows[heads]


class SlotLayer(CacheLayerMixin):
    """Keys and values of one layer: [slots, kv_heads, columns, head_dim]."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self._window = window

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys, self.values = (
            states.new_zeros(self._window.slots, states.shape[1], self._window.columns, states.shape[-1])
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new [B, kv_heads, T, head_dim]; return views of all used columns."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        window = self._window
        rows = window.rows(key_states.shape[1])
        for cache, states in ((self.keys, key_states), (self.values, value_states)):
            cache.view(-1, cache.shape[-1]).index_copy_(0, rows, states.reshape(-1, states.shape[-1]))
        slots, columns = slice(window.first, window.last), slice(0, window.used)
        return self.keys[slots, :, columns], self.values[slots, :, columns]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._window.used, 0

    def get_seq_length(self) -> int:
        return self._window.used

    def get_max_length(self) -> int:
        return self._window.columns - 1


class SlotCache(Cache):
    """A transformers cache for any number of layers, made as the model first asks for them."""

    def __init__(self, slots: int, context_tokens: int) -> None:
        self.window = Window(slots, context_tokens + 1)
        super().__init__(layer_class_to_replicate=partial(SlotLayer, self.window))

    @torch.inference_mode()
    def move(self, sources: Sequence[int], targets: Sequence[int], length: int) -> None:
        """Copy the first `length` columns of slots `sources` to slots `targets`; the two may overlap."""
        if not sources or not length:
            return
        for layer in self.layers:
            for tensor in (layer.keys, layer.values):
                tensor[list(targets), :, :length] = tensor[list(sources), :, :length]
