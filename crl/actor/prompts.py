"""Everything the actor is told in an episode, by the prompt set that fits the model (method 5.2, 5.3, 8.5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Protocol

from crl.actor.actions import ASK_CLOSE
from crl.config.choices import ACTOR_PROMPTS
from crl.config.play import ActorConfig
from crl.envs.contract import Observation
from crl.models.chat import Message
from crl.replies.screening import TextLimits


class ActorPromptSet(Protocol):
    """How an actor is addressed, and how its reply to the gate is read. `actor.prompts` names one."""

    min_chars: int  # shortest text of an experience; weeds out remainders of a format, not short advice

    def opening(
        self, observation: Observation, experience: str | None, *, in_system: bool, ask_uses: int
    ) -> list[Message]:
        """The messages before the first reply; `ask_uses` > 0 tells of the search-and-ask tool and its budget."""
        ...

    def following(self, observation: Observation, valid: bool) -> Message:
        """What the environment answers to a reply; `valid=False`: it did not understand, the world did not move."""
        ...

    def answered(self, answer: str, uses_left: int) -> Message:
        """What the search-and-ask tool answers; the world did not move."""
        ...

    def gate(self, situation: str, retrieved: str, mean_success: float, episodes: int) -> list[Message]:
        """Ask to accept, refine or reject: the task as it will be seen, the experience, and the actor's own record."""
        ...

    def read_gate(self, text: str) -> tuple[str | None, str | None]:
        """Decision and refined text of the reply to `gate`, both unchecked; (None, None) without one. Never raises."""
        ...


@cache
def actor_prompt_set(name: str) -> ActorPromptSet:
    """The set of this name, or `module:Class`. Raises ConfigError."""
    return ACTOR_PROMPTS.load(name, "actor.prompts")()


@dataclass(frozen=True, slots=True)
class ActorPrompts:
    """The messages of an episode; a function of its arguments alone."""

    name: str  # of the prompt set
    inject: Literal["system", "user", "none"]
    ask_uses: int  # budget of the search-and-ask tool

    @classmethod
    def of(cls, config: ActorConfig) -> "ActorPrompts":
        return cls(config.prompts, config.inject, config.ask.max_uses)

    @property
    def set(self) -> ActorPromptSet:
        return actor_prompt_set(self.name)

    def limits(self, max_chars: int) -> TextLimits:
        """Of an experience's text."""
        return TextLimits(self.set.min_chars, max_chars)

    def opening(
        self, observation: Observation, experience: str | None = None, *, ask_manual: bool = False
    ) -> list[Message]:
        """The messages before the first reply. `inject: none` keeps the experience out (an ablation)."""
        return self.set.opening(
            observation,
            None if self.inject == "none" else experience,
            in_system=self.inject == "system",
            ask_uses=self.ask_uses if ask_manual else 0,
        )

    def following(self, observation: Observation, *, valid: bool = True) -> Message:
        return self.set.following(observation, valid)

    def answered(self, answer: str, *, uses_left: int) -> Message:
        return self.set.answered(answer, uses_left)

    def stop_strings(self, *, asking: bool) -> tuple[str, ...]:
        """A tool call ends the reply. `</answer>` does not: a model that thinks aloud may quote it."""
        return (ASK_CLOSE,) if asking else ()

    def join_experiences(self, texts: Sequence[str]) -> str:
        """Several experiences as one text, numbered; a single one as it is."""
        if len(texts) == 1:
            return texts[0]
        return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))
