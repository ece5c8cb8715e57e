"""Spans on the critical path are disjoint, and leave nothing out."""

from hypothesis import given
from hypothesis import strategies as st

from crl import spans

NAMES = [name for name in spans.SPANS if name != "account"]
STEPS = st.lists(st.tuples(st.sampled_from([None, *NAMES]), st.floats(0, 100)), max_size=8)


@given(before=STEPS, rollout_s=st.floats(0, 100), after=STEPS)
def test_they_add_up_to_the_wall_clock_and_what_is_in_none_is_accounting(before, rollout_s, after):
    clock = [0.0]

    def passes(steps):
        for name, seconds in steps:
            if name is None:
                clock[0] += seconds
            else:
                with taken.on_path(name):
                    clock[0] += seconds

    with_clock = type("Clock", (), {"perf_counter": staticmethod(lambda: clock[0])})
    real, spans.time = spans.time, with_clock
    try:
        taken = spans.Spans()
        passes(before)
        taken.charge()
        clock[0] += rollout_s
        taken.split_rollout({"generate": rollout_s / 2}, rollout_s)
        passes(after)
        taken.charge()
    finally:
        spans.time = real
    figures = taken.metrics()
    outside = sum(seconds for name, seconds in (*before, *after) if name is None)
    assert abs(sum(figures[f"time/{name}_s"] for name in spans.SPANS) - clock[0]) < 1e-6
    assert abs(figures["time/account_s"] - outside) < 1e-6
