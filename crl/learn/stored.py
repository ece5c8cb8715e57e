"""A trainer's state as files: safetensors and JSON, never pickle.

    one worker       model.safetensors (or PEFT's adapter), optimizer.safetensors     a Hugging Face (PEFT) folder, too
    n workers        shard-0000k-of-0000n-update-*.safetensors, each worker's share   written by all at once, nothing is gathered
    both             trainer.json, the model's settings, base.json of an adapter

Either is read by any number of workers, each no more than its own share: by torch's distributed checkpoint, whose format on
safetensors (`torch.distributed.checkpoint.hf_storage`) the pieces have.
"""

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch.distributed.checkpoint import CheckpointException
from torch.distributed.checkpoint._hf_utils import CUSTOM_METADATA_KEY, SAVED_OFFSETS_KEY
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from transformers import PreTrainedModel

from crl.errors import DataError
from crl.files import digest_file, read_json
from crl.learn.state import TrainerState, UpdateCounts, learned, places, slots_of
from crl.learn.workers import Workers
from crl.models.adapter import ADAPTER, Base, read_base, settings_of, write_adapter, write_base

WEIGHTS, OPTIMIZER, COUNTERS = "model.safetensors", "optimizer.safetensors", "trainer.json"
PIECES = "shard-*.safetensors"
FORMAT = 1


def save_state(folder: Path, model: PreTrainedModel, state: TrainerState) -> None:
    """Write a whole state of now or of earlier, which is not changed meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    if state.base is not None:
        write_adapter(folder, settings_of(model), state.weights, state.base)
    else:
        _save_settings(folder, model)
        save_file(state.weights, folder / WEIGHTS, metadata={"format": "pt"})
    save_file(state.optimizer, folder / OPTIMIZER)
    _save_counters(folder, state.counters)


def save_pieces(
    folder: Path, model: PreTrainedModel, optimizer: torch.optim.Optimizer, counters: UpdateCounts, base: Base | None,
    workers: Workers,
) -> None:  # fmt: skip
    """Write what this one of several workers holds, as it is; the leading one adds what is not in pieces."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces, offsets = {}, {}
    for key, tensor in sorted((learned(model) | slots_of(model, optimizer)).items()):
        own, row = workers.share_of(tensor.detach())
        if own is not None:
            pieces[key] = own.cpu().contiguous()
            offsets[key] = {SAVED_OFFSETS_KEY: [row, *[0] * (own.dim() - 1)] if own.dim() else []}
    # With more than this one key in its header, a file's bytes would vary: safetensors keeps no order of them.
    save_file(
        pieces,
        folder / _piece(workers.rank, workers.count, counters),
        metadata={CUSTOM_METADATA_KEY: json.dumps(offsets)},
    )
    if workers.leads:
        if base is None:
            _save_settings(folder, model)
        else:
            settings_of(model).save_pretrained(str(folder))
            write_base(folder, base)
        _save_counters(folder, counters, pieces=workers.count)


def load_into(
    folder: Path, model: PreTrainedModel, optimizer: torch.optim.Optimizer, base: Base | None, workers: Workers
) -> UpdateCounts:
    """Put a saved state into the model and its optimiser in place, by every worker's share; returns its counters.

    Raises DataError where a file is missing or of another format, and where the state is of another model or another base;
    nothing is changed then.
    """
    counters = _checked(folder)
    if base is not None:
        base.check(read_base(folder))
    with _told(folder):
        shapes = {key: tuple(stored.size) for key, stored in _tensors_in(folder).items()}
        _read(folder, places(model, optimizer, shapes), workers)
    return counters


def load_state(folder: Path) -> TrainerState:
    """Read a whole state into main memory. Raises DataError when a file is missing or of another format."""
    counters = _checked(folder)
    with _told(folder):
        stored = _tensors_in(folder)
        tensors = {key: torch.empty(its.size, dtype=its.properties.dtype) for key, its in stored.items()}
        _read(folder, tensors, Workers())
    optimizer = {key: tensor for key, tensor in tensors.items() if "/" in key}
    weights = {key: tensor for key, tensor in tensors.items() if "/" not in key}
    return TrainerState(weights, optimizer, counters, read_base(folder))


def digest_weights(folder: Path) -> str:
    """Of a saved model's weights by content: of all that learns in pieces. Raises DataError for a folder that holds none."""
    files = [file for name in (WEIGHTS, ADAPTER, PIECES) for file in sorted(folder.glob(name))]
    if not files:
        raise DataError(f"{folder}: no weights. Remedy: pass a folder that Trainer.save wrote")
    digests = [digest_file(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.blake2b(" ".join(digests).encode(), digest_size=16).hexdigest()


def _checked(folder: Path) -> UpdateCounts:
    """The counters of a folder that is whole."""
    values = read_json(_file(folder, COUNTERS))
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise DataError(f"{folder / COUNTERS}: not of format {FORMAT}. Remedy: use the release that wrote it")
    pieces = values.pop("pieces", 0)
    counters = UpdateCounts(**values)
    written = {_piece(rank, pieces, counters) for rank in range(pieces)}
    if odd := written ^ {file.name for file in folder.glob(PIECES)}:
        what = "is missing" if min(odd) in written else "is of another state"
        raise DataError(f"{folder}: {min(odd)} {what}. Remedy: pass a folder that is as it was written")
    if not pieces:
        _file(folder, ADAPTER if read_base(folder) else WEIGHTS)
        _file(folder, OPTIMIZER)
    return counters


def _piece(rank: int, count: int, counters: UpdateCounts) -> str:
    """A worker's file. It names the state, so that one of another is not taken for its own: they hold the same keys."""
    return f"shard-{rank + 1:05d}-of-{count:05d}-update-{counters.updates:05d}.safetensors"


def _file(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise DataError(f"{folder}: no {name}. Remedy: pass a folder that Trainer.save wrote")
    return folder / name


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Damaged files as a DataError."""
    try:
        yield
    except (SafetensorError, CheckpointException, KeyError) as error:
        first = error.failures[min(error.failures)][0] if isinstance(error, CheckpointException) else error
        what = f"{type(first).__name__}: {first}"
        raise DataError(f"{folder}: {what}. Remedy: pass a folder that is as it was written") from error


def _tensors_in(folder: Path) -> Mapping[str, Any]:
    """What the folder's files hold, by name, with `size` and `properties.dtype` of the whole tensor."""
    return HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata


def _read(folder: Path, into: dict[str, torch.Tensor], workers: Workers) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # alone, as it is told to be
        dcp.load(into, storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=workers.count == 1)


def _save_settings(folder: Path, model: PreTrainedModel) -> None:
    model.config.save_pretrained(folder)
    if model.generation_config is not None:
        model.generation_config.save_pretrained(folder)


def _save_counters(folder: Path, counters: UpdateCounts, **more: int) -> None:
    (folder / COUNTERS).write_text(json.dumps({"format": FORMAT, **asdict(counters), **more}, indent=2) + "\n")
