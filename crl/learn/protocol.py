"""What a learner needs of its trainer, wherever that runs: in this process (`trainer`) or in a group of its own (`group`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from crl.learn.sequences import WeightedSequence


class Training(Protocol):
    """One model's weights and their optimiser."""

    dtype: str  # of the arithmetic: float32 or bfloat16

    @property
    def architecture(self) -> str:
        """The model's class, for whoever is told of it."""
        ...

    def update(
        self, batch: Sequence[WeightedSequence], *, steps: int = 1, lr_scale: float = 1.0, version: int | None = None
    ) -> dict[str, float]:
        """See `crl.learn.trainer.Trainer.update`."""
        ...

    def weights(self) -> dict[str, torch.Tensor]:
        """All that moves, in `dtype`, by parameter name, for an engine's `load_weights`. Read it before the next call."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything that an exact resume needs, by however many workers."""
        ...

    def committed(self, folder: Path) -> None:
        """What was saved last lies in `folder` now, and stays there until another is named: lost workers are replaced from it."""
        ...

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote, where it lies (`committed`). Raises DataError for anything else."""
        ...

    def keep(self) -> None:
        """Copy weights and optimiser as they are now, as what to go back to."""
        ...

    def take_back(self) -> None:
        """Put back what was kept last."""
        ...

    def save_kept(self, folder: Path) -> None:
        """As `save`, of what was kept last."""
        ...

    def load_kept(self, folder: Path) -> None:
        """Keep what `save_kept` wrote."""
        ...

    def export(self, tokenizer: Any, folder: Path) -> None:
        """Replace `folder` by the model in Hugging Face format, an adapter merged."""
        ...

    def close(self) -> None:
        """Give back what does not end with this process. It may be called again."""
        ...
