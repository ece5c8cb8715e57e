"""Text as token ids, in which no marker can come about."""

import copy
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import Metaspace, Sequence


class PlainText:
    """A tokenizer to which its own markers are text like any other."""

    def __init__(self, tokenizer: Tokenizer, markers: Iterable[str]) -> None:
        """`markers` are added tokens of the tokenizer, flagged special or not. It is copied, not changed."""
        names = list(markers)
        self._marker_ids = frozenset(map(tokenizer.token_to_id, names))
        self._starting = copy.deepcopy(tokenizer)
        self._starting.add_special_tokens(names)
        self._starting.encode_special_tokens = True  # as text
        self._starting.no_truncation()
        self._starting.no_padding()
        self._later = _without_first_mark(self._starting)
        self.encode = lru_cache(maxsize=4096)(self._encode)

    def _encode(self, text: str, starts: bool) -> tuple[int, ...]:
        """`starts`: nothing stands before it. Some vocabularies hold a marker as a word, too: such a word is cut in two."""
        ids: list[int] = []
        left = [text]
        while left:
            part = left.pop()
            encoding = (self._starting if starts else self._later).encode(part, add_special_tokens=False)
            cuts = self._cuts(encoding)
            if cuts:
                left += [part[start:end] for start, end in pairwise([0, *cuts, len(part)])][::-1]
            else:
                ids += encoding.ids
                starts = False
        return tuple(ids)

    def _cuts(self, encoding) -> list[int]:
        """After the first character of each word that is a marker."""
        if self._marker_ids.isdisjoint(encoding.ids):
            return []
        words = zip(encoding.ids, encoding.offsets, strict=True)
        return [start + 1 for index, (start, end) in words if index in self._marker_ids and end > start + 1]


def _without_first_mark(tokenizer: Tokenizer) -> Tokenizer:
    """For text that does not start: Metaspace may mark the first word of all, and that one alone (Mistral v0.3)."""
    later = copy.deepcopy(tokenizer)
    later.encode_special_tokens = tokenizer.encode_special_tokens
    splitters = later.pre_tokenizer if isinstance(later.pre_tokenizer, Sequence) else [later.pre_tokenizer]
    first = [part for part in splitters if isinstance(part, Metaspace) and part.prepend_scheme == "first"]
    for part in first:
        part.prepend_scheme = "never"
    return later if first else tokenizer
