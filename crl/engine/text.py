"""From tokens to text: decoding, and stop strings found across token boundaries."""

from collections.abc import Sequence
from functools import lru_cache

from transformers import PreTrainedTokenizerBase


class TokenText:
    """Text of generated tokens, for engines: special tokens stay visible, nothing is cleaned up."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._decode_short = lru_cache(maxsize=8192)(self._decode)  # one-word actions come again and again
        self._closers = lru_cache(maxsize=64)(self._find_closers)

    def decode(self, token_ids: Sequence[int]) -> str:
        return self._decode_short(tuple(token_ids)) if len(token_ids) <= 8 else self._decode(token_ids)

    def completes_stop(self, token_ids: Sequence[int], stops: tuple[str, ...]) -> bool:
        """True if the text of `token_ids` contains a stop string, given that it did not one token ago."""
        if not stops:
            return False
        closers = self._closers(stops)
        if closers is not None and token_ids[-1] not in closers:
            return False  # the price for most tokens is this look-up
        longest = max(map(len, stops))
        window = 4 + max(len(stop.encode()) for stop in stops)  # a token is a byte at least, ...
        text = self._decode(token_ids[-window:])
        while len(text) <= longest and window < len(token_ids):  # ... or, in some vocabularies, nothing
            window *= 2
            text = self._decode(token_ids[-window:])
        return any(stop in text for stop in stops)

    def _find_closers(self, stops: tuple[str, ...]) -> frozenset[int] | None:
        """Ids whose text holds the last character of a stop string; None: any token may be one.

        Only visible ASCII is decided by single tokens: other characters may be split over tokens,
        and decoders may drop a token's leading space.
        """
        last = {stop[-1] for stop in stops}
        if not all("!" <= character <= "~" for character in last):
            return None
        return frozenset(i for i in range(len(self._tokenizer)) if not last.isdisjoint(self._decode([i])))

    def _decode(self, token_ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
