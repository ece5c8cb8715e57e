from unionfind import Groups


def test_strangers():
    groups = Groups()
    assert not groups.together("a", "b")
    assert groups.count() == 2


def test_a_pair():
    groups = Groups()
    groups.join("a", "b")
    assert groups.together("b", "a")
# Hidden from the agent from here on: the task's test patch appends it.


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
