"""The repository trie: words by their beginnings."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
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
        return self._find(word) is not None

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
'''
_TESTS = """\
from trie import Trie


def test_words_are_found_by_prefix():
    trie = Trie(["car", "cat", "dog"])
    assert trie.starting_with("ca") == ["car", "cat"]
    assert trie.starting_with("x") == []


def test_stored_words_are_contained():
    assert "car" in Trie(["car"])
    assert "dog" not in Trie(["car"])
"""
_HIDDEN = """\


def test_a_prefix_is_not_a_word():
    trie = Trie(["car", "card"])
    assert "ca" not in trie
    assert "" not in trie
    assert "car" in trie
    assert "card" in trie


def test_the_empty_word_can_be_stored():
    trie = Trie([""])
    assert "" in trie
    assert trie.starting_with("") == [""]
"""
_ISSUE = """\
`"ca" in Trie(["car"])` is True

Membership should hold for whole words only. At the moment every beginning of a stored word counts as contained.
"""
RECIPE = Recipe(
    name="trie",
    split="train",
    difficulty=2,
    issue=_ISSUE,
    files={"trie.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_a_prefix_is_not_a_word",),
    candidates=(
        (
            Edit(
                "trie.py",
                "        return self._find(word) is not None\n",
                ('        node = self._find(word)\n        return node is not None and "" in node\n'),
            ),
        ),
        (Edit("trie.py", "        return self._find(word) is not None\n", "        return bool(self._find(word))\n"),),
        (
            Edit(
                "trie.py",
                "        return self._find(word) is not None\n",
                '        return self._find(word) == {"": True}\n',
            ),
        ),
        (
            Edit(
                "trie.py",
                "        return self._find(word) is not None\n",
                "        return bool(word) and len(self._find(word) or ()) == 1\n",
            ),
        ),
    ),
)
