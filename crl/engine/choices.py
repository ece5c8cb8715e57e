"""Replies that are one of a few: which tokens may follow what was said, as a trie of the choices' token ids.

A token is drawn by the softmax over the children of the present node alone, so the log-prob of a reply is the sum over its
tokens, whatever beginnings the choices share, and all choices together have probability 1. Each ends with an id that ends
the turn: one may be the beginning of another.
"""

from collections.abc import Iterable, Sequence


class _Node:
    __slots__ = ("after", "ids")

    def __init__(self, replies: Sequence[tuple[int, ...]], depth: int) -> None:
        """Of `replies` that are alike in their first `depth` ids."""
        rest: dict[int, list[tuple[int, ...]]] = {}
        for reply in replies:
            if len(reply) > depth:
                rest.setdefault(reply[depth], []).append(reply)
        self.ids = tuple(sorted(rest))
        self.after = {index: _Node(rest[index], depth + 1) for index in self.ids}


class Choices:
    """The replies that one request is drawn among. Immutable, so that many requests may share it."""

    __slots__ = ("extremes", "longest", "root")

    def __init__(self, replies: Iterable[Sequence[int]], end_id: int) -> None:
        """`replies` are token ids without the end of the turn, which is `end_id`.

        Raises ValueError without a reply, and for one that holds the end.
        """
        replies = {tuple(reply) for reply in replies}
        if not replies or any(end_id in reply for reply in replies):
            raise ValueError(
                f"choices {sorted(replies)} with the end {end_id}. Remedy: one at least, none with the end in it"
            )
        ended = sorted((*reply, end_id) for reply in replies)
        self.root = _Node(ended, 0)
        self.longest = max(map(len, ended))  # tokens, the end among them
        self.extremes = min(map(min, ended)), max(map(max, ended))  # ids

    def __repr__(self) -> str:
        return f"Choices(longest={self.longest})"


class Walk:
    """One reply on its way through the choices."""

    __slots__ = ("_node", "allowed", "ids")

    def __init__(self, choices: Choices) -> None:
        self.allowed: list[tuple[int, ...]] = []  # of each token that was said, what it was drawn among, ascending
        self._node = choices.root
        self.ids = choices.root.ids  # what the next token is drawn among; (): the reply is whole

    def take(self, token: int) -> None:
        """`token` of `ids` was said."""
        self.allowed.append(self.ids)
        self._node = self._node.after[token]
        self.ids = self._node.ids

    def forced(self, *, to_the_end: bool) -> list[int]:
        """Take the tokens that have no alternative. The turn's end is among them if they lead `to_the_end`, else it is left."""
        taken: list[int] = []
        while len(self.ids) == 1 and (to_the_end or self._node.after[self.ids[0]].ids):
            taken += self.ids
            self.take(self.ids[0])
        return taken
