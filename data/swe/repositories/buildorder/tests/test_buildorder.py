from buildorder import build_order


def test_nothing_needed():
    assert build_order({"b": [], "a": []}) == ["a", "b"]


def test_every_task_once():
    order = build_order({"x": ["z"], "y": ["z"]})
    assert sorted(order) == ["x", "y", "z"]
# Hidden from the agent from here on: the task's test patch appends it.


def test_needs_come_first():
    assert build_order({"app": ["lib"], "lib": ["core"]}) == ["core", "lib", "app"]


def test_shared_needs():
    assert build_order({"x": ["z"], "y": ["z"]}) == ["z", "x", "y"]


def test_cycles_are_refused():
    import pytest

    from buildorder import CycleError

    with pytest.raises(CycleError):
        build_order({"a": ["b"], "b": ["a"]})
