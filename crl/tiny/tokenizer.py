"""A small tokenizer for models trained from scratch: whole words where it can, bytes where it must.

The vocabulary is 256 bytes, the words that save most tokens (a word carries the space before it), byte-pair
merges for the rest, and special tokens. A word that is in the vocabulary is one token without
merges that lead to it (BPE's `ignore_merges`), which a vocabulary of some hundred entries could not afford.
"""

import json
from collections import Counter
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, PreTokenizer, Sequence, Split
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from crl.errors import ConfigError

END, PAD = "<|end|>", "<|pad|>"
SPECIAL_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", END, PAD)
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
_WORD_SHARE = 0.75  # of the vocabulary beyond bytes; the rest is merges, for words that were never seen
_BYTES = 256


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocab_size` entries that depends on the texts only, not on their order."""
    budget = vocab_size - _BYTES - len(SPECIAL_TOKENS)
    if budget < 0:
        raise ConfigError(
            f"models.vocab_size = {vocab_size}: too small. Remedy: {vocab_size - budget} at least, for bytes and "
            "special tokens"
        )
    counts = _count_words(texts)
    words = _best_words(counts, int(budget * _WORD_SHARE))
    merges = _train_merges(sorted(counts), budget - len(words))
    vocabulary: dict[str, int] = {}
    for token in (*sorted(ByteLevel.alphabet()), *words, *(left + right for left, right in merges)):
        vocabulary.setdefault(token, len(vocabulary))
    return _wrap(Tokenizer(BPE(vocab=vocabulary, merges=merges, ignore_merges=True)))


def _splitter() -> PreTokenizer:
    """Cuts before each space that precedes a word, and nowhere inside a word."""
    words = Split(Regex(r"\s?\S+|\s+(?!\S)"), behavior="isolated")
    return Sequence([words, ByteLevel(add_prefix_space=False, use_regex=False)])


def _count_words(texts: Iterable[str]) -> Counter[str]:
    splitter = _splitter()
    return Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(text))


def _best_words(counts: Counter[str], limit: int) -> list[str]:
    """The words that save most tokens against bytes; ties alphabetically. Words seen once are noise."""
    repeated = [word for word, count in counts.items() if count > 1 and len(word) > 1]
    return sorted(repeated, key=lambda word: (-counts[word] * (len(word) - 1), word))[:limit]


def _train_merges(words: list[str], limit: int) -> list[tuple[str, str]]:
    """Byte-pair merges over distinct words: what is frequent as a whole is a token of its own already."""
    trainer = BpeTrainer(vocab_size=_BYTES + limit, initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    tokenizer = Tokenizer(BPE())
    tokenizer.train_from_iterator(words, trainer)
    return [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


def _wrap(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    tokenizer.pre_tokenizer = _splitter()
    tokenizer.decoder = decoders.ByteLevel()
    # Outside of BPE's own vocabulary: there, `ignore_merges` would turn their plain text into them.
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens=[token for token in SPECIAL_TOKENS if token not in (END, PAD)],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
