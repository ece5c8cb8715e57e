"""The repository slugs: titles as parts of an address."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Titles as parts of an address."""

import re
import unicodedata


def slugify(title, limit=40):
    """Lower-case ASCII words joined by hyphens, at most `limit` characters, cut between words."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower())
    if len(slug) <= limit:
        return slug
    return slug[:limit].rsplit("-", 1)[0]
'''
_TESTS = """\
from slugs import slugify


def test_words_are_joined():
    assert slugify("Two  plain words") == "two-plain-words"


def test_accents_are_dropped():
    assert slugify("Caf\\u00e9 cr\\u00e8me") == "cafe-creme"


def test_long_titles_are_cut_between_words():
    assert slugify("alpha beta gamma", limit=12) == "alpha-beta"
"""
_HIDDEN = """\


def test_no_hyphen_at_the_end():
    assert slugify("Hello, world!") == "hello-world"


def test_no_hyphen_at_the_beginning():
    assert slugify("(draft) plan") == "draft-plan"


def test_nothing_left():
    assert slugify("?!") == ""
"""
_ISSUE = """\
Slugs begin or end with a hyphen

slugify("Hello, world!") returns "hello-world-" and slugify("(draft) plan") returns "-draft-plan". No slug should
begin or end with one.
"""
RECIPE = Recipe(
    name="slugs",
    split="train",
    difficulty=1,
    issue=_ISSUE,
    files={"slugs.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_no_hyphen_at_the_end", "test_no_hyphen_at_the_beginning", "test_nothing_left"),
    candidates=(
        (Edit("slugs.py", '"-", plain.lower())', '"-", plain.lower()).strip("-")'),),
        (Edit("slugs.py", '"-", plain.lower())', '"-", plain.lower()).rstrip("-")'),),
        (Edit("slugs.py", '"-", plain.lower())', '"-", plain.lower().strip())'),),
        (Edit("slugs.py", '"-", plain.lower())', '"", plain.lower())'),),
    ),
)
