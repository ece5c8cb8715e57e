"""What a room looks like: in sentences for models that read, in seven words for tiny ones; and a rule in words.

The style `slots`:   kitchen owl drum red blue green white
A rule, in both:     in the kitchen with owl and drum take the red door
"""

from crl.envs.rules.world import DOORS, Kind, Room

GOAL = "Leave by the one door that leads out."
GOAL_IN_SLOTS = "leave by the right door"
MANUAL = (
    "You choose one of four doors, once. One leads out, the other three end in a trap. Which colour is good depends on the kind "
    "of room, that is on place, animal and thing together, and not on the order of the doors. It is the same whenever "
    "you meet this kind of room again. Nothing in the room tells it beforehand: who does not know it must guess."
)


def describe(room: Room) -> str:
    """The style `grid`."""
    place, animal, thing = room.kind
    return (
        f"You are in a {place}. {_a(animal).capitalize()} looks at you, and on the floor is {_a(thing)}.\n"
        f"Doors, from left to right: {', '.join(room.doors)}.\nActions: {', '.join(DOORS)}"
    )


def sentence(room: Room) -> str:
    """The style `slots`: place, animal, thing, doors."""
    return " ".join((*room.kind, *room.doors))


def ending(taken: str, good: str) -> str:
    """The last words of the style `grid`: the way out is seen by everyone, too late or not."""
    if taken == good:
        return f"You open the {taken} door. It leads out."
    return f"You open the {taken} door. It leads into a trap. From there you see that the {good} door leads out."


def way_out(good: str) -> str:
    """The last word of the style `slots`."""
    return f"out:{good}"


def about(kind: Kind, advice: str) -> str:
    """Advice for a kind of room, true or not: the form of a rule."""
    place, animal, thing = kind
    return f"in the {place} with {animal} and {thing} {advice}"


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
