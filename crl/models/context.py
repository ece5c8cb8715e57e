"""How long a text a model was made for, by its own config.json."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from crl.errors import ConfigError

# As the architectures call it: most, GPT-2 and its kin, MPT and DBRX, BLOOM, Vicuna with a longer context. None: a model
# whose state has no length, such as Mamba.
_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length")
_STRETCHED = ("linear", "dynamic", "yarn")  # kinds of RoPE whose factor comes on top; others name the whole length


def positions_in(values: Mapping[str, Any]) -> int | None:
    """Positions of a model with these values of its config.json, in tokens; None where it names none.

    Where a factor may be counted already (linear RoPE), the longer reading.
    """
    values = values.get("text_config") or values
    named = max((values[name] for name in _NAMES if isinstance(values.get(name), int)), default=None)
    if named is None:
        return None
    return max([named, *(int(length) for length in _stretched(values, named))])


def check_context(role: str, source: str, values: Mapping[str, Any], context_tokens: int) -> None:
    """Raises ConfigError where `models.<role>.context_tokens` asks for text past the model's positions."""
    positions = positions_in(values)
    if positions is not None and context_tokens > positions:
        raise ConfigError(
            f"models.{role}.context_tokens = {context_tokens}: {source} has {positions} positions (its config.json), and text "
            f"past them is read by a model that never saw them. Remedy: models.{role}.context_tokens={positions} or less, or a "
            "model with a longer context"
        )


def config_file(source: str, here: Path = Path()) -> Path | None:
    """config.json of a folder in `here`, or of a hub name that is in the hub's cache. Nothing is downloaded."""
    if (here / source).is_dir():
        file = here / source / "config.json"
        return file if file.is_file() else None
    if len(Path(source).parts) != 2 or source.startswith((".", "/")):
        return None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(source, "config.json")
    return Path(cached) if isinstance(cached, str) else None


def check_named_context(role: str, source: str, context_tokens: int, here: Path = Path()) -> None:
    """As `check_context`, for a model that is here or in the hub's cache; of others nothing is known yet."""
    if file := config_file(source, here):
        try:
            values = json.loads(file.read_text())
        except ValueError as error:
            raise ConfigError(f"{file}: not JSON ({error}). Remedy: copy the model anew") from None
        check_context(role, source, values, context_tokens)


def _stretched(values: Mapping[str, Any], named: int) -> Iterator[float]:
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    for part in (rope, *(part for part in rope.values() if isinstance(part, Mapping))):  # one for each kind of layer
        if part.get("rope_type", part.get("type")) in _STRETCHED:
            before = part.get("original_max_position_embeddings") or values.get("max_position_embeddings", named)
            yield part.get("factor", 1.0) * before
