"""Models in a GGUF file: read, dequantised to float32, and an ordinary model of transformers from then on."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from crl.errors import DataError
from crl.models.gguf_tokenizer import tokenizer_from
from crl.models.resolve import BUILDING, stops_of, vocabulary_of


def read_gguf(file: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The causal LM and tokenizer of a GGUF file. Raises DataError for what is no such file, or is not read whole.

    Minutes for 0.5 B on a busy core: store what comes out.
    """
    fields = metadata(file)
    tokenizer = tokenizer_from(fields, str(file))
    try:
        with BUILDING:
            model, info = AutoModelForCausalLM.from_pretrained(
                file.parent, gguf_file=file.name, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, ValueError, NotImplementedError) as error:
        remedy = "the model in Hugging Face's format"
        raise DataError(f"{file}: its weights cannot be read: {error}. Remedy: {remedy}") from error
    _plain(model)
    faults = [f"{what} {names}" for what, names in info.items() if names]
    if tokenizer.eos_token_id not in stops_of(model):
        faults.append(f"a turn ends at {sorted(stops_of(model))}, by its tokenizer at {tokenizer.eos_token_id}")
    if vocabulary_of(model) != len(fields["tokenizer.ggml.tokens"]):
        faults.append(f"{vocabulary_of(model)} ids for {len(fields['tokenizer.ggml.tokens'])} tokens")
    if model.config.tie_word_embeddings != ("output.weight" not in fields["tensors"]):
        faults.append(f"tie_word_embeddings = {model.config.tie_word_embeddings} against its tensors")
    if faults:
        raise DataError(f"{file}: not read whole: {'; '.join(faults)}. Remedy: the model in Hugging Face's format")
    return model.eval(), tokenizer


def metadata(file: Path) -> dict[str, Any]:
    """What a GGUF file says of itself, by name, and the names of its tensors as `tensors`. Raises DataError."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{file}: not a GGUF file ({error}). Remedy: fetch it again") from None
    return {name: field.contents() for name, field in reader.fields.items()} | {
        "tensors": {tensor.name for tensor in reader.tensors}
    }


def _plain(model: PreTrainedModel) -> None:
    """Every layer is dense, but transformers takes the model for a quantised one: it could be neither trained nor saved."""
    del model.config.quantization_config
    model.hf_quantizer, model.is_quantized = None, False
    model.quantization_method = None
