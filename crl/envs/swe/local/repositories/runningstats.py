"""The repository runningstats: mean and variance of a stream, one value at a time."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Mean and variance of a stream, one value at a time."""


class RunningStats:
    def __init__(self):
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, value):
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self._squares += delta * delta

    def variance(self):
        """Sample variance (n - 1); 0 with fewer than two values."""
        if self.count < 2:
            return 0.0
        return self._squares / self.count
'''
_TESTS = """\
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
"""
_HIDDEN = """\


def test_variance_is_the_sample_variance():
    import statistics

    for values in ((1, 2, 3, 4), (10, 10, 13), (2.5, -1)):
        assert abs(_of(*values).variance() - statistics.variance(values)) < 1e-9


def test_constant_values_have_no_variance():
    assert _of(4, 4, 4).variance() < 1e-12


def test_variance_does_not_depend_on_the_origin():
    assert abs(_of(101, 102, 103).variance() - _of(1, 2, 3).variance()) < 1e-9
"""
_ISSUE = """\
variance() disagrees with statistics.variance

For 1, 2, 3, 4 I get a value far from 1.6667. Welford's method needs the deviation from the old and from the new mean,
and the docstring says n - 1.
"""
RECIPE = Recipe(
    name="runningstats",
    split="train",
    difficulty=3,
    issue=_ISSUE,
    files={"runningstats.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=(
        "test_variance_is_the_sample_variance",
        "test_constant_values_have_no_variance",
        "test_variance_does_not_depend_on_the_origin",
    ),
    candidates=(
        (
            Edit(
                "runningstats.py",
                "        self._squares += delta * delta\n",
                "        self._squares += delta * (value - self.mean)\n",
            ),
            Edit(
                "runningstats.py",
                "        return self._squares / self.count\n",
                "        return self._squares / (self.count - 1)\n",
            ),
        ),
        (
            Edit(
                "runningstats.py",
                "        return self._squares / self.count\n",
                "        return self._squares / (self.count - 1)\n",
            ),
        ),
        (
            Edit(
                "runningstats.py",
                "        self._squares += delta * delta\n",
                "        self._squares += delta * (value - self.mean)\n",
            ),
        ),
        (
            Edit(
                "runningstats.py",
                "        self._squares += delta * delta\n",
                "        self._squares += (value - self.mean) ** 2\n",
            ),
            Edit(
                "runningstats.py",
                "        return self._squares / self.count\n",
                "        return self._squares / (self.count - 1)\n",
            ),
        ),
    ),
)
