"""How long a text a model was made for, by its own config.json."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from crl.errors import ConfigError, DataError
from crl.models.shelf import located

# As the architectures call it: most, GPT-2 and its kin, MPT and DBRX, BLOOM, Vicuna with a longer context. None: a model
# whose state has no length, such as Mamba.
_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length")
_STRETCHED = ("linear", "yarn")  # kinds of RoPE whose factor comes on top; others name the whole length


def positions_in(values: Mapping[str, Any]) -> int | None:
    """Positions of a model with these values of its config.json, in tokens; None where it names none.

    Where a factor may be counted already (linear RoPE), the longer reading.
    """
    values = values.get("text_config") or values
    named = _named(values)
    if named is None:
        return None
    return max([named, *(int(length) for length in _stretched(values, named))])


def doubtful_from(values: Mapping[str, Any]) -> int | None:
    """The length above which a context rests on the longer reading of a linear RoPE; None where nothing is in doubt.

    Gemma 3 and deepseek-coder name the stretched length, LongChat the one before.
    """
    values = values.get("text_config") or values
    named, longest = _named(values), positions_in(values)
    before = any("original_max_position_embeddings" in part for part in _ropes(values))
    return None if longest == named or before else named


def changing_rope_in(values: Mapping[str, Any]) -> tuple[str, int] | None:
    """A RoPE whose tables are other ones for longer texts: its kind, and up to how many tokens they are the first ones.

    transformers chooses them by the longest row of a batch, and keys that are cached keep those of their time: log-probs
    would depend on who shares a batch, and a gradient on how it is cut into micro-batches.
    """
    values = values.get("text_config") or values
    found: list[tuple[str, int]] = []
    for part in _ropes(values):
        before, whole = part.get("original_max_position_embeddings"), values.get("max_position_embeddings")
        if "long_factor" in part:  # of Phi-3 and its kin, under several names
            found.append(("longrope", before or values.get("original_max_position_embeddings") or whole))
        elif _kind(part) == "dynamic":
            found.append(("dynamic", whole))
    return min(((kind, length) for kind, length in found if length), key=lambda each: each[1], default=None)


def longest_context(values: Mapping[str, Any]) -> int | None:
    """The largest context that `check_context` allows; None where nothing bounds it."""
    rope = changing_rope_in(values)
    return min(filter(None, (positions_in(values), rope and rope[1])), default=None)


def check_context(role: str, source: str, values: Mapping[str, Any], context_tokens: int) -> None:
    """Raises ConfigError where `models.<role>.context_tokens` asks for text past the model's positions, or the first RoPE's."""
    rope = changing_rope_in(values)
    if rope is not None and context_tokens > rope[1]:
        raise ConfigError(
            f"models.{role}.context_tokens = {context_tokens}: the RoPE of {source} ({rope[0]}) has other tables for texts above "
            f"{rope[1]} tokens, so what is cached or in one batch with a longer text would be read another way. Remedy: "
            f"models.{role}.context_tokens={rope[1]} or less, or a model whose RoPE does not depend on the length (yarn, llama3, "
            "linear)"
        )
    positions = positions_in(values)
    if positions is not None and context_tokens > positions:
        raise ConfigError(
            f"models.{role}.context_tokens = {context_tokens}: {source} has {positions} positions (its config.json), and text "
            f"past them is read by a model that never saw them. Remedy: models.{role}.context_tokens={positions} or less, or a "
            "model with a longer context"
        )


def config_file(source: str, here: Path = Path()) -> Path | None:
    """config.json of a folder in `here`, a fetched model, or a hub name that is in the hub's cache. Nothing is downloaded."""
    try:
        source = located(source, here)
    except DataError:
        return None
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


def _named(values: Mapping[str, Any]) -> int | None:
    return max((values[name] for name in _NAMES if isinstance(values.get(name), int)), default=None)


def _stretched(values: Mapping[str, Any], named: int) -> Iterator[float]:
    for part in _ropes(values):
        if _kind(part) in _STRETCHED:
            before = part.get("original_max_position_embeddings") or values.get("max_position_embeddings", named)
            yield part.get("factor", 1.0) * before


def _ropes(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    yield rope
    yield from (part for part in rope.values() if isinstance(part, Mapping))  # one for each kind of layer


def _kind(rope: Mapping[str, Any]) -> str | None:
    return rope.get("rope_type", rope.get("type"))
