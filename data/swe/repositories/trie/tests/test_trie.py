from trie import Trie


def test_words_are_found_by_prefix():
    trie = Trie(["car", "cat", "dog"])
    assert trie.starting_with("ca") == ["car", "cat"]
    assert trie.starting_with("x") == []


def test_stored_words_are_contained():
    assert "car" in Trie(["car"])
    assert "dog" not in Trie(["car"])
# Hidden from the agent from here on: the task's test patch appends it.


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
