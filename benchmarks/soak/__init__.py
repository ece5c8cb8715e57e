"""A pipeline that is disturbed again and again: `python -m benchmarks.soak`."""
