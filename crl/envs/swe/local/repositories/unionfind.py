"""The repository unionfind: which things belong together, directly or through others."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Which things belong together, directly or through others."""


class Groups:
    def __init__(self):
        self._parent = {}

    def find(self, item):
        """The representative of the item's group."""
        self._parent.setdefault(item, item)
        while self._parent[item] != item:
            item = self._parent[item]
        return item

    def join(self, one, other):
        self._parent[one] = self.find(other)

    def together(self, one, other):
        return self.find(one) == self.find(other)

    def count(self):
        return len({self.find(item) for item in self._parent})
'''
_TESTS = """\
from unionfind import Groups


def test_strangers():
    groups = Groups()
    assert not groups.together("a", "b")
    assert groups.count() == 2


def test_a_pair():
    groups = Groups()
    groups.join("a", "b")
    assert groups.together("b", "a")
"""
_HIDDEN = """\


def test_joining_keeps_older_bonds():
    groups = Groups()
    groups.join("a", "b")
    groups.join("a", "c")
    assert groups.together("a", "b")
    assert groups.together("b", "c")
    assert groups.count() == 1


def test_two_groups_become_one():
    groups = Groups()
    groups.join(1, 2)
    groups.join(3, 4)
    assert groups.count() == 2
    groups.join(1, 3)
    assert groups.together(2, 4)


def test_joining_from_the_other_side():
    groups = Groups()
    groups.join("b", "a")
    groups.join("c", "a")
    assert groups.together("b", "c")


def test_joining_twice_is_harmless():
    groups = Groups()
    groups.join(1, 2)
    groups.join(2, 1)
    assert groups.count() == 1
"""
_ISSUE = """\
Joining tears an older group apart

After join(a, b) and join(a, c), together(a, b) is False. Joining must never separate what was together.
"""
RECIPE = Recipe(
    name="unionfind",
    split="eval",
    difficulty=2,
    issue=_ISSUE,
    files={"unionfind.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_joining_keeps_older_bonds", "test_two_groups_become_one"),
    candidates=(
        (
            Edit(
                "unionfind.py",
                "self._parent[one] = self.find(other)",
                "self._parent[self.find(one)] = self.find(other)",
            ),
        ),
        (
            Edit(
                "unionfind.py",
                "self._parent[one] = self.find(other)",
                "self._parent[one] = self._parent[other] = self.find(other)",
            ),
        ),
        (Edit("unionfind.py", "self._parent[one] = self.find(other)", "self._parent[other] = self.find(one)"),),
        (
            Edit(
                "unionfind.py", "self._parent[one] = self.find(other)", "self._parent.setdefault(one, self.find(other))"
            ),
        ),
    ),
)
