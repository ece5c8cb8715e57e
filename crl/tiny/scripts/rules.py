"""The script of the world of rules: a door by its colour, or any but that one.

Advice is a rule about the kind of room at hand; whoever plays it reads the colour and ignores the kind. What can be written
about an episode is that the door it took, or the one that it saw leading out, is good, or bad, or that any will do: that is
what the extractor learns to word, and not which of them is true.
"""

from collections.abc import Sequence

from crl.envs.rules import texts
from crl.envs.rules.world import ANIMALS, DOORS, PLACES, THINGS, parse_level
from crl.seeding import pick
from crl.tiny.scripts.script import Rule, Script, Strategy
from crl.types import Episode

ANY = "any"


def take(*doors: str) -> Rule:
    """Any of these doors."""
    return lambda words, rng: pick(doors, rng)


def _skills() -> dict[str, Strategy]:
    skills = {ANY: Strategy("take any door", take(*DOORS))}
    skills |= {f"take_{door}": Strategy(f"take the {door} door", take(door)) for door in DOORS}
    others = {door: take(*(other for other in DOORS if other != door)) for door in DOORS}
    return skills | {f"avoid_{door}": Strategy(f"avoid the {door} door", others[door]) for door in DOORS}


class RulesScript(Script):
    """A `Script` whose advice names the kind of room."""

    def told(self, strategy: Strategy, sentence: str) -> str:
        return texts.about(tuple(sentence.split()[:3]), strategy.advice)

    def lessons(self, strategies: Sequence[Strategy], episode: Episode) -> tuple[str, ...]:
        """About the door that was taken, the door that was seen to lead out, or nothing in particular."""
        doors = {episode.turns[-1].action, episode.final_observation.removeprefix(texts.way_out(""))}
        meant = [s for s in strategies if s == self.skills[ANY] or doors & {*s.advice.split()}]
        return super().lessons(meant, episode)


def script(level: str) -> RulesScript:
    """The same in every world. Raises EnvError for a level that does not exist."""
    parse_level(level)
    kinds = list(zip(PLACES, ANIMALS, THINGS, strict=True))
    vocabulary = (*PLACES, *ANIMALS, *THINGS, *DOORS, *map(texts.way_out, DOORS), *texts.GOAL_IN_SLOTS.split())
    return RulesScript(
        vocabulary, (texts.GOAL_IN_SLOTS,), DOORS, _skills(), spontaneous=(ANY,),
        situations=tuple(" ".join(kind) for kind in kinds),
    )  # fmt: skip
