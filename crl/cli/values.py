"""What options refuse beyond their ranges, which let NaN through: it is neither below a bound nor above."""

import math

import typer


def finite(value: float | None) -> float | None:
    """A callback of options. Raises typer.BadParameter."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no finite number. Remedy: give one, such as 1.5")
    return value
