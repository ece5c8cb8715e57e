"""Compass words and the steps they mean; x grows east, y grows south."""

STEPS: dict[str, tuple[int, int]] = {
    "north": (0, -1),
    "northeast": (1, -1),
    "east": (1, 0),
    "southeast": (1, 1),
    "south": (0, 1),
    "southwest": (-1, 1),
    "west": (-1, 0),
    "northwest": (-1, -1),
}
ORTHOGONAL = ("north", "east", "south", "west")
_WORDS = {step: word for word, step in STEPS.items()} | {(0, 0): "here"}


def toward(dx: int, dy: int) -> str:
    """The compass word of an offset: the king's move that gets nearest fastest; "here" for none."""
    return _WORDS[((dx > 0) - (dx < 0), (dy > 0) - (dy < 0))]
