"""Models on disk: found by folder or hub name, written in Hugging Face's format."""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as progress

from crl.errors import ConfigError, DataError
from crl.files import write_atomically
from crl.models.generation_settings import repaired
from crl.models.shelf import located

log = logging.getLogger(__name__)

# While it loads a model, transformers replaces functions of its own and torch's default dtype for the whole process, and
# puts back what it found. Two threads at once leave the replacements in place for good: from then on every model
# with tied embeddings comes out with an output layer of noise, in silence. vLLM sets the default dtype as well.
BUILDING = threading.RLock()
_PLAIN_CLASSES = ("TokenizersBackend", "PreTrainedTokenizerFast")
_HOW_IT_WAS_READ = ("local_files_only", "is_local")  # from a folder or the hub, with HF_HUB_OFFLINE or without


def resolve_device(device: str) -> str:
    """`run.device` with auto resolved. Raises ConfigError when a GPU is asked for and none is there."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("run.device = 'cuda': no CUDA device is visible. Remedy: use 'auto' or 'cpu'")
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def load_model(
    source: str | Path, dtype: str = "float32", device: str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The causal LM and tokenizer of a local folder, a fetched model's name, or a hub name (from its cache, else downloaded).

    No code of the model's author is executed. Threads may load at the same time; they take turns.
    """
    if str(source) == "scratch":
        raise ConfigError("source = 'scratch': not a stored model. Remedy: build it with crl.tiny.model.build_model")
    source = located(str(source))
    folder = Path(source)
    if not folder.is_dir() and (folder.is_absolute() or len(folder.parts) != 2 or str(source).startswith(".")):
        raise DataError(
            f"source = {source!r}: no such folder, name of `crl models ls`, nor hub name of the form owner/model"
        )
    try:
        tokenizer = load_tokenizer(source)
        with BUILDING:
            model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, dtype))
    except (OSError, ValueError, TypeError) as error:  # TypeError: settings that are no JSON object
        remedy = (
            "the folder needs config.json, model.safetensors and tokenizer.json"
            if folder.is_dir()
            else "check the name and the network, or copy the model here and give its folder"
        )
        raise DataError(f"source = {source!r}: cannot be loaded: {error}\nRemedy: {remedy}") from error
    if model.generation_config is not None:  # what is loaded must be fit to be saved, after hours of training
        model.generation_config, changed = repaired(model.generation_config)
        if changed:
            log.warning("%s: its generation settings do not validate, and are saved with changes: %s", source, changed)
    return model.to(resolve_device(device)).eval(), tokenizer


def outline(source: str | Path, dtype: str = "float32") -> PreTrainedModel:
    """The model that `load_model` gives, with its buffers, but with parameters on `meta`: of their shapes, without memory.

    Raises DataError where config.json cannot be read.
    """
    from accelerate import init_empty_weights  # seconds of imports, which nothing else here needs

    try:
        settings = AutoConfig.from_pretrained(located(str(source)))
        with BUILDING, init_empty_weights(include_buffers=False):
            return AutoModelForCausalLM.from_config(settings, dtype=getattr(torch, dtype)).eval()
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"source = {str(source)!r}: cannot be loaded: {error}\nRemedy: check its config.json"
        ) from error


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """As AutoTokenizer does, except that a plain fast tokenizer is what its tokenizer.json says.

    For a Qwen2 model transformers 5 would rebuild it with Qwen2's own word splitting, without a word of warning.
    How it was read is forgotten: transformers would write that into the saved folder, whose hash would then depend on it.
    """
    settings = Path(source) / "tokenizer_config.json"
    plain = settings.is_file() and json.loads(settings.read_text()).get("tokenizer_class") in _PLAIN_CLASSES
    tokenizer = (PreTrainedTokenizerFast if plain else AutoTokenizer).from_pretrained(source)
    for name in _HOW_IT_WAS_READ:
        tokenizer.init_kwargs.pop(name, None)
    return tokenizer


def vocabulary_of(model: PreTrainedModel) -> int:
    """The number of token ids that a model takes: rows of its input embeddings, whatever they are called.

    Raises ConfigError for a model that has no table of them.
    """
    try:
        table = getattr(model.get_input_embeddings(), "weight", None)
    except NotImplementedError:
        table = None
    if table is None or table.dim() != 2:
        raise ConfigError(
            f"{type(model).__name__}: no table of input embeddings, so its vocabulary is unknown. Remedy: a causal LM whose "
            "get_input_embeddings() is an embedding layer"
        )
    return table.shape[0]


def ids_without_text(tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> list[int]:
    """Ids that a model takes and its tokenizer does not know: makers pad the table of embeddings to a round number of rows."""
    known = {*tokenizer.get_vocab().values(), *tokenizer.added_tokens_decoder}
    return [index for index in range(vocabulary) if index not in known]


def vocabulary_in(folder: Path) -> int:
    """The number of tokens that a model folder's config.json names. Raises ConfigError where it names none."""
    size = getattr(AutoConfig.from_pretrained(folder).get_text_config(), "vocab_size", None)
    if size is None:
        raise ConfigError(f"{folder}/config.json: no vocab_size. Remedy: the folder of a causal LM")
    return size


def stops_of(model: PreTrainedModel) -> frozenset[int]:
    """The token ids at which `generate` ends this model's turn."""
    return _stops(model.generation_config)


def stops_in(folder: Path) -> frozenset[int]:
    """As `stops_of`, of a model folder."""
    return _stops(generation_in(folder))


def generation_in(folder: Path) -> GenerationConfig:
    """Settings for generation by generation_config.json, else by config.json, as loading has them."""
    file = folder / "generation_config.json"
    if file.is_file():
        if not isinstance(json.loads(file.read_text()), dict):
            raise ConfigError(f"{file}: no JSON object. Remedy: copy the model's anew, or remove it")
        return GenerationConfig.from_pretrained(folder)
    return GenerationConfig.from_model_config(AutoConfig.from_pretrained(folder))


def _stops(generation: GenerationConfig) -> frozenset[int]:
    """Raises ConfigError for what is no id. A negative one stands for none, as in older configurations."""
    ids = generation.eos_token_id
    given = ids if isinstance(ids, list | tuple) else [] if ids is None else [ids]
    if any(type(each) is not int for each in given):
        raise ConfigError(
            f"eos_token_id = {ids!r} in generation_config.json or config.json: not the number of a token, nor a list of some. "
            "Remedy: correct it, as the model's tokenizer.json numbers its tokens"
        )
    return frozenset(each for each in given if each >= 0)


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: str | Path,
    beside: Mapping[str, Callable[[Path], None]] = MappingProxyType({}),
) -> None:
    """Write both into `folder`, which is replaced as a whole: readers never see half a model.

    `beside`: what writes further subfolders of these names.
    """

    def write(fresh: Path) -> None:
        shown = progress.is_progress_bar_enabled()
        progress.disable_progress_bar()  # a model is saved every round: it would run through the pipeline's own
        try:
            model.save_pretrained(fresh)
        finally:
            if shown:
                progress.enable_progress_bar()
        tokenizer.save_pretrained(fresh)
        for name, write_it in beside.items():
            write_it(fresh / name)

    write_atomically(Path(folder), write)
