"""The repository versions: compare version numbers such as 1.10.2 and 2.0rc1."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Compare version numbers such as 1.10.2 and 2.0rc1."""

import re

_VERSION = re.compile(r"(\\d+(?:\\.\\d+)*)(?:(a|b|rc)(\\d+))?")


def sort_key(version):
    match = _VERSION.fullmatch(version)
    if not match:
        raise ValueError(f"not a version: {version!r}")
    numbers = tuple(match[1].split("."))
    if match[2] is None:
        return numbers, ("", 0)
    return numbers, (match[2], int(match[3]))


def newest(versions):
    return max(versions, key=sort_key)
'''
_TESTS = """\
import pytest

from versions import newest, sort_key


def test_small_numbers():
    assert newest(["1.2", "1.3", "0.9"]) == "1.3"


def test_pre_releases_among_themselves():
    assert newest(["2.0a1", "2.0rc1", "2.0b3"]) == "2.0rc1"


def test_not_a_version():
    with pytest.raises(ValueError):
        sort_key("latest")
"""
_HIDDEN = """\


def test_numbers_not_letters():
    assert newest(["1.9", "1.10"]) == "1.10"
    assert newest(["10.0", "9.9.9"]) == "10.0"


def test_a_release_follows_its_candidates():
    assert newest(["2.0", "2.0rc1", "2.0b2"]) == "2.0"


def test_a_candidate_of_the_next_release_is_newer():
    assert newest(["1.9", "2.0a1"]) == "2.0a1"


def test_candidates_by_number():
    assert newest(["2.0rc2", "2.0rc10"]) == "2.0rc10"
"""
_ISSUE = """\
1.9 is reported as newer than 1.10, and 2.0rc1 as newer than 2.0

newest(["1.9", "1.10"]) should be 1.10. A release candidate comes before the release itself. 1.0 and 1.0.0 may be
different.
"""
RECIPE = Recipe(
    name="versions",
    split="train",
    difficulty=3,
    issue=_ISSUE,
    files={"versions.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_numbers_not_letters", "test_a_release_follows_its_candidates"),
    candidates=(
        (
            Edit(
                "versions.py",
                '    numbers = tuple(match[1].split("."))\n',
                '    numbers = tuple(int(part) for part in match[1].split("."))\n',
            ),
            Edit("versions.py", '        return numbers, ("", 0)\n', '        return numbers, ("release", 0)\n'),
        ),
        (
            Edit(
                "versions.py",
                '    numbers = tuple(match[1].split("."))\n',
                '    numbers = tuple(int(part) for part in match[1].split("."))\n',
            ),
        ),
        (
            Edit(
                "versions.py",
                '    numbers = tuple(match[1].split("."))\n',
                '    numbers = tuple(int(part) for part in match[1].split("."))\n',
            ),
            Edit("versions.py", '        return numbers, ("", 0)\n', '        return numbers, ("final", 0)\n'),
        ),
        (
            Edit(
                "versions.py",
                '    numbers = tuple(match[1].split("."))\n',
                '    numbers = int(match[1].replace(".", ""))\n',
            ),
            Edit("versions.py", '        return numbers, ("", 0)\n', '        return numbers, ("release", 0)\n'),
        ),
    ),
)
