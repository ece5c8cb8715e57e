"""Words by their beginnings."""


class Trie:
    def __init__(self, words=()):
        self._root = {}
        for word in words:
            self.add(word)

    def add(self, word):
        node = self._root
        for letter in word:
            node = node.setdefault(letter, {})
        node[""] = True

    def __contains__(self, word):
        node = self._find(word)
        return node is not None and "" in node

    def starting_with(self, prefix):
        """All words with this beginning, in alphabetical order."""
        node = self._find(prefix)
        return [] if node is None else sorted(self._words(node, prefix))

    def _find(self, prefix):
        node = self._root
        for letter in prefix:
            if letter not in node:
                return None
            node = node[letter]
        return node

    def _words(self, node, prefix):
        for letter, child in node.items():
            if letter == "":
                yield prefix
            else:
                yield from self._words(child, prefix + letter)
