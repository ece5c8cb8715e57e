from runningstats import RunningStats


def _of(*values):
    stats = RunningStats()
    for value in values:
        stats.add(value)
    return stats


def test_mean():
    assert _of(1, 2, 3, 6).mean == 3


def test_too_few_values():
    assert _of().variance() == 0
    assert _of(5).variance() == 0
# Hidden from the agent from here on: the task's test patch appends it.


def test_variance_is_the_sample_variance():
    import statistics

    for values in ((1, 2, 3, 4), (10, 10, 13), (2.5, -1)):
        assert abs(_of(*values).variance() - statistics.variance(values)) < 1e-9


def test_constant_values_have_no_variance():
    assert _of(4, 4, 4).variance() < 1e-12


def test_variance_does_not_depend_on_the_origin():
    assert abs(_of(101, 102, 103).variance() - _of(1, 2, 3).variance()) < 1e-9
