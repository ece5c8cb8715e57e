"""The repository buildorder: an order in which every task comes after what it needs: {task: needs}."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""An order in which every task comes after what it needs: {task: needs}."""


class CycleError(ValueError):
    """Tasks need each other."""


def build_order(needs):
    order = []
    visiting = set()

    def visit(task):
        if task in order:
            return
        if task in visiting:
            raise CycleError(task)
        visiting.add(task)
        order.append(task)
        for needed in sorted(needs.get(task, ())):
            visit(needed)

    for task in sorted(needs):
        visit(task)
    return order
'''
_TESTS = """\
from buildorder import build_order


def test_nothing_needed():
    assert build_order({"b": [], "a": []}) == ["a", "b"]


def test_every_task_once():
    order = build_order({"x": ["z"], "y": ["z"]})
    assert sorted(order) == ["x", "y", "z"]
"""
_HIDDEN = """\


def test_needs_come_first():
    assert build_order({"app": ["lib"], "lib": ["core"]}) == ["core", "lib", "app"]


def test_shared_needs():
    assert build_order({"x": ["z"], "y": ["z"]}) == ["z", "x", "y"]


def test_cycles_are_refused():
    import pytest

    from buildorder import CycleError

    with pytest.raises(CycleError):
        build_order({"a": ["b"], "b": ["a"]})
"""
_ISSUE = """\
build_order lists a task before what it needs, and cycles go unnoticed

build_order({"app": ["lib"]}) gives ["app", "lib"]. And {"a": ["b"], "b": ["a"]} should raise CycleError.
"""
RECIPE = Recipe(
    name="buildorder",
    split="train",
    difficulty=2,
    issue=_ISSUE,
    files={"buildorder.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_needs_come_first", "test_shared_needs", "test_cycles_are_refused"),
    candidates=(
        (
            Edit(
                "buildorder.py",
                (
                    "        order.append(task)\n"
                    "        for needed in sorted(needs.get(task, ())):\n"
                    "            visit(needed)\n"
                ),
                (
                    "        for needed in sorted(needs.get(task, ())):\n"
                    "            visit(needed)\n"
                    "        order.append(task)\n"
                ),
            ),
        ),
        (Edit("buildorder.py", "    return order\n", "    return order[::-1]\n"),),
        (Edit("buildorder.py", "        order.append(task)\n", "        order.insert(0, task)\n"),),
        (
            Edit(
                "buildorder.py",
                (
                    "        order.append(task)\n"
                    "        for needed in sorted(needs.get(task, ())):\n"
                    "            visit(needed)\n"
                ),
                (
                    "        for needed in sorted(needs.get(task, ())):\n"
                    "            order.append(needed)\n"
                    "        order.append(task)\n"
                ),
            ),
        ),
    ),
)
