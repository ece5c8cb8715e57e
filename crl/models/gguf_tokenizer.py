"""The tokenizer that a GGUF file describes, from the file's own metadata.

transformers rebuilds one, too, and leaves out how the maker splits words: "a  12" becomes other ids with SmolLM2's, without a word.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, PreTokenizer, Sequence, Split
from transformers import PreTrainedTokenizerFast

from crl.errors import DataError

CONTROL, USER_DEFINED, UNUSED = (
    3,
    4,
    5,
)  # `tokenizer.ggml.token_type`: special tokens, other added ones, padding of the table


def _words(digits: str) -> PreTokenizer:
    pattern = (
        rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    return Sequence([Split(Regex(pattern), behavior="isolated"), ByteLevel(add_prefix_space=False, use_regex=False)])


# `tokenizer.ggml.pre`: how a text is cut before merges, as in the makers' tokenizer.json.
_SPLITTERS: dict[str, Callable[[], PreTokenizer]] = {
    "gpt-2": lambda: ByteLevel(add_prefix_space=False),
    "llama-bpe": lambda: _words(r"\p{N}{1,3}"),
    "qwen2": lambda: _words(r"\p{N}"),
    "smollm": lambda: Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]),
}
_NFC = frozenset({"qwen2"})  # whose makers compose characters first


def tokenizer_from(fields: Mapping[str, Any], source: str) -> PreTrainedTokenizerFast:
    """`fields`: the file's metadata by name. Raises DataError for kinds of tokenizers that are not read here."""

    def told(name: str, default: Any = None) -> Any:
        return fields.get(f"tokenizer.ggml.{name}", default)

    kind, pre = told("model"), told("pre")
    if kind != "gpt2" or pre not in _SPLITTERS:
        raise DataError(
            f"{source}: its tokenizer is of kind {kind!r} with words cut as {pre!r}; byte-level BPE cut as "
            f"{', '.join(_SPLITTERS)} is read. Remedy: the model in Hugging Face's format"
        )
    if "tokenizer.chat_template" not in fields:
        raise DataError(f"{source}: it has no chat template. Remedy: a model that was made for conversations")
    types, tokens = told("token_type"), told("tokens")
    vocabulary = {token: index for index, token in enumerate(tokens) if types[index] != UNUSED}
    merges = [tuple(pair.split(" ")) for pair in told("merges")]
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = _SPLITTERS[pre](), decoders.ByteLevel()
    if pre in _NFC:
        tokenizer.normalizer = normalizers.NFC()
    added = [(token, types[index]) for token, index in vocabulary.items() if types[index] in (CONTROL, USER_DEFINED)]
    tokenizer.add_tokens([AddedToken(token, special=kind == CONTROL, normalized=False) for token, kind in added])
    names = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding"}
    ids = {name: told(f"{theirs}_token_id") for name, theirs in names.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=fields["tokenizer.chat_template"],
        clean_up_tokenization_spaces=False,
        **{name: tokens[index] for name, index in ids.items() if index is not None},
    )
