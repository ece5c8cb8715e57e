"""One ALFWorld game as a value, and as the compact text that a task's payload carries."""

import base64
import json
import zlib
from dataclasses import asdict, dataclass
from typing import NamedTuple

from crl.errors import DataError


class Treatment(NamedTuple):
    """What is done to the object on its way. Kinds are spelled as in the package's tables."""

    verb: str
    ability: str  # that the object must have
    tool: str  # kind of the receptacle that does it


SIMPLE, LIGHT, TWO = "pick_and_place_simple", "look_at_obj_in_light", "pick_two_obj_and_place"
TREATMENTS = {
    "pick_clean_then_place_in_recep": Treatment("clean", "Cleanable", "SinkBasin"),
    "pick_heat_then_place_in_recep": Treatment("heat", "Heatable", "Microwave"),
    "pick_cool_then_place_in_recep": Treatment("cool", "Coolable", "Fridge"),
}
TASK_TYPES = (SIMPLE, LIGHT, *TREATMENTS, TWO)
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Game:
    """What the interpreter needs, and what a person wants to know. Kinds are lower-case, as the interpreter prints them."""

    task_type: str
    scene: str  # floor plan, e.g. "FloorPlan7"
    target: str  # kind of the object to be handled, e.g. "mug"
    place: str  # kind of the receptacle to bring it to; "" for the lamp task
    lamp: str  # kind of the lamp; "" for the others
    instruction: str  # as the interpreter says it: "put a clean mug in coffeemachine"
    problem: str  # PDDL
    domain: str = ""  # PDDL; "" for the one that the package ships
    grammar: str = ""  # TWL2; "" for the one that the package ships, with this instruction
    walkthrough: tuple[str, ...] = ()  # commands that were played on the interpreter and won

    @property
    def goal(self) -> str:
        return f"{self.instruction[0].upper()}{self.instruction[1:]}."


def to_payload(game: Game) -> str:
    """Compressed text, about 6 KB for a generated game."""
    text = json.dumps({"format": _FORMAT, **asdict(game)}, separators=(",", ":"), sort_keys=True)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def from_payload(payload: str) -> Game:
    """The game in a payload. Raises DataError."""
    try:
        fields = json.loads(zlib.decompress(base64.b64decode(payload, validate=True)))
        if fields.pop("format") != _FORMAT:
            raise ValueError("another format")
        return Game(**{**fields, "walkthrough": tuple(fields["walkthrough"])})
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise DataError(
            f"payload = {payload[:20]!r}...: not an ALFWorld game ({type(error).__name__}: {error}). "
            "Remedy: prepare the task set again (`dvc repro prepare`)"
        ) from error


def put_command(commands: tuple[str, ...], thing: str, place: str) -> str | None:
    """How this game's grammar puts a thing down, if it can be: older ones say `put X in/on Y` for `move X to Y`."""
    for command in commands:
        if command.startswith(("move ", "put ")) and f" {thing} " in command and command.endswith(f" {place}"):
            return command
    return None
