"""The repository textwrapper: break a paragraph into lines."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Break a paragraph into lines."""


def wrap(text, width):
    """Lines of at most `width` characters; only a word that is longer by itself exceeds it."""
    if width < 1:
        raise ValueError("width must be at least 1")
    lines = []
    line = ""
    for word in text.split():
        if not line:
            line = word
        elif len(line) + len(word) <= width:
            line += " " + word
        else:
            lines.append(line)
            line = word
    return lines
'''
_TESTS = """\
import pytest

from textwrapper import wrap


def test_no_words_no_lines():
    assert wrap("  ", 10) == []


def test_width_is_checked():
    with pytest.raises(ValueError):
        wrap("a", 0)
"""
_HIDDEN = """\


def test_the_last_line_is_kept():
    assert wrap("aaa bbb ccc", 7) == ["aaa bbb", "ccc"]
    assert wrap("one", 20) == ["one"]


def test_no_line_exceeds_the_width():
    lines = wrap("aaa bbbb c dddd ee", 7)
    assert lines == ["aaa", "bbbb c", "dddd ee"]


def test_a_long_word_stands_alone():
    assert wrap("a loooooong b", 4) == ["a", "loooooong", "b"]
"""
_ISSUE = """\
wrap() drops the end of the text and makes lines too long

wrap("aaa bbb ccc", 7) gives ["aaa bbb"]: the last line is missing. And wrap("aaa bbbb c", 7) returns a first line of
8 characters.
"""
RECIPE = Recipe(
    name="textwrapper",
    split="train",
    difficulty=3,
    issue=_ISSUE,
    files={"textwrapper.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_the_last_line_is_kept", "test_no_line_exceeds_the_width", "test_a_long_word_stands_alone"),
    candidates=(
        (
            Edit("textwrapper.py", "len(line) + len(word) <= width", "len(line) + 1 + len(word) <= width"),
            Edit(
                "textwrapper.py",
                "            line = word\n    return lines\n",
                ("            line = word\n    if line:\n        lines.append(line)\n    return lines\n"),
            ),
        ),
        (
            Edit(
                "textwrapper.py",
                "            line = word\n    return lines\n",
                "            line = word\n    lines.append(line)\n    return lines\n",
            ),
        ),
        (Edit("textwrapper.py", "len(line) + len(word) <= width", "len(line) + 1 + len(word) <= width"),),
        (
            Edit("textwrapper.py", "len(line) + len(word) <= width", "len(line) + len(word) < width"),
            Edit(
                "textwrapper.py",
                "            line = word\n    return lines\n",
                "            line = word\n    return [*lines, line]\n",
            ),
        ),
    ),
)
