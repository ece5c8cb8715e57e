import pytest

from textwrapper import wrap


def test_no_words_no_lines():
    assert wrap("  ", 10) == []


def test_width_is_checked():
    with pytest.raises(ValueError):
        wrap("a", 0)
# Hidden from the agent from here on: the task's test patch appends it.


def test_the_last_line_is_kept():
    assert wrap("aaa bbb ccc", 7) == ["aaa bbb", "ccc"]
    assert wrap("one", 20) == ["one"]


def test_no_line_exceeds_the_width():
    lines = wrap("aaa bbbb c dddd ee", 7)
    assert lines == ["aaa", "bbbb c", "dddd ee"]


def test_a_long_word_stands_alone():
    assert wrap("a loooooong b", 4) == ["a", "loooooong", "b"]
