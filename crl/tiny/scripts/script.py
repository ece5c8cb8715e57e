"""What scripted play is made of: rules that read the sentence and nothing else, so that no script can peek.

A rule that advice can name is a strategy; a family's strategies are its script. Some help, some harm, some do neither:
a tiny model learns to follow them all, and which are worth following is for the outcomes to tell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crl.errors import ConfigError
from crl.seeding import pick
from crl.types import Episode

Words = dict[str, str]  # `n:open stuck` -> {"n": "open", "stuck": ""}; and "last" -> the action before, "" at first
Rule = Callable[[Words, np.random.Generator], str]  # -> the next action


def parse(sentence: str) -> Words:
    """The second half of each word by its first half."""
    return {name: value for name, _, value in (word.partition(":") for word in sentence.split())}


def wished(ways: Mapping[str, str], rng: np.random.Generator, *wishes: tuple[str, ...]) -> str | None:
    """A random one of the ways whose marks are in the first wish that is met at all; None where none is."""
    for wish in wishes:
        if chosen := [way for way, mark in ways.items() if mark in wish]:
            return pick(chosen, rng)
    return None


class ScriptedPolicy:
    """Plays one episode by a rule."""

    def __init__(self, rule: Rule, rng: np.random.Generator) -> None:
        self._rule, self._rng, self._last = rule, rng, ""

    def act(self, sentence: str) -> str:
        """The next action."""
        self._last = self._rule({**parse(sentence), "last": self._last}, self._rng)
        return self._last


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to play, and the advice that names it."""

    advice: str
    rule: Rule

    def start(self, rng: np.random.Generator) -> ScriptedPolicy:
        """A policy for one episode."""
        return ScriptedPolicy(self.rule, rng)


@dataclass(frozen=True, slots=True)
class Script:
    """A family's scripted play on one level: each skill is a strategy of its own, the first one the best."""

    words: tuple[str, ...]  # every word that goals, sentences and action names can hold
    goals: tuple[str, ...]  # goal sentences, for the tokenizer's corpus
    actions: tuple[str, ...]  # every action name
    skills: Mapping[str, Strategy]  # what advice can name
    spontaneous: tuple[str, ...]  # skills that the base actor shows by itself
    situations: tuple[str, ...] = ("",)  # first sentences that hold every word which advice may take from one

    @property
    def best(self) -> tuple[str, ...]:
        """Skills that do well together, for `crl play`."""
        return tuple(self.skills)[:1]

    @property
    def phrases(self) -> dict[str, str]:
        """Every skill that advice can name -> the words that name it."""
        return {name: strategy.advice for name, strategy in self.skills.items()}

    def told(self, strategy: Strategy, sentence: str) -> str:
        """The advice that names a strategy in an episode that begins with this sentence; here the same in all."""
        return strategy.advice

    def lessons(self, strategies: Sequence[Strategy], episode: Episode) -> tuple[str, ...]:
        """What can be written about an episode, whether or not it is true; here any strategy's advice."""
        return tuple(self.told(strategy, episode.turns[0].observation) for strategy in strategies)

    def strategies(self, skills: Sequence[str]) -> tuple[Strategy, ...]:
        """The ways to play that the named skills make. Raises ConfigError."""
        self.demand(skills, bool(skills), "at least one is needed")
        return tuple(self.skills[skill] for skill in skills)

    def demand(self, skills: Sequence[str], met: bool, needs: str) -> None:
        """Raises ConfigError for names that nobody can play, or when what the script needs is not met."""
        unknown = [skill for skill in skills if skill not in self.skills]
        if unknown or not met:
            raise ConfigError(
                f"warm_start.skills or .spontaneous = {list(skills)}: unknown {unknown or 'none'}; {needs}. "
                f"Remedy: choose from {', '.join(self.skills)}"
            )
