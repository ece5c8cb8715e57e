"""Everything the actor is told in an episode (method 5.2, 5.3, 8.5): what every prompt set offers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from crl.actor.actions import ASK_CLOSE
from crl.config.choices import ACTOR_PROMPTS
from crl.config.play import ActorConfig
from crl.envs.contract import Observation
from crl.extractor.transcript import transcript
from crl.models.chat import Message
from crl.types import Episode


@dataclass(frozen=True, slots=True)
class ActorPrompts(ABC):
    """The messages of an episode, a function of their arguments alone, and how the reply to the gate is read.

    `actor.prompts` names a subclass.
    """

    min_chars: ClassVar[int]  # shortest text of an experience; weeds out remainders of a format, not short advice
    # Stop strings of every reply, the gate's too: a line break, for one-line replies.
    ends: ClassVar[tuple[str, ...]] = ()
    # The replies to the gate, where they can be listed: `actor.replies: legal` has it say one of them. Else it replies freely.
    verdicts: ClassVar[tuple[str, ...]] = ()
    inject: Literal["system", "user", "none"]
    ask_uses: int  # budget of the search-and-ask tool

    def opening(
        self, observation: Observation, experience: str | None = None, *, ask_manual: bool = False
    ) -> list[Message]:
        """The messages before the first reply. `inject: none` keeps the experience out (an ablation)."""
        shown = None if self.inject == "none" else experience
        return self.first(observation, shown, ask_uses=self.ask_uses if ask_manual else 0)

    @abstractmethod
    def first(self, observation: Observation, experience: str | None, *, ask_uses: int) -> list[Message]:
        """The opening with what is to be shown; `ask_uses` > 0: it tells of the search-and-ask tool and its budget."""

    @abstractmethod
    def following(self, observation: Observation, *, valid: bool = True) -> Message:
        """What the environment answers to a reply; `valid=False`: it did not understand, the world did not move."""

    @abstractmethod
    def answered(self, answer: str, *, uses_left: int) -> Message:
        """What the search-and-ask tool answers; the world did not move."""

    @abstractmethod
    def gate(self, situation: str, retrieved: str, mean_success: float, episodes: int) -> list[Message]:
        """Ask to accept, refine or reject: the task as it will be seen, the experience, and the actor's own record."""

    @abstractmethod
    def read_gate(self, text: str) -> tuple[str | None, str | None]:
        """Decision and refined text of the reply to `gate`, both unchecked; (None, None) without one. Never raises.

        `text` begins where the thoughts have ended.
        """

    def naming(self, action: str) -> str:
        """The shortest reply that names an action as the prompts ask for it: what `actor.replies: legal` has a model say.

        The bare name is always read.
        """
        return action

    def stop_strings(self, *, asking: bool) -> tuple[str, ...]:
        """A tool call ends the reply. `</answer>` does not: a model that thinks aloud may quote it."""
        return (*self.ends, ASK_CLOSE) if asking else self.ends

    def retold(self, episode: Episode) -> str:
        """An episode as it was, for the prompt of a later one, beginning with how it ended."""
        return f"(it ended in {episode.outcome})\n{transcript(episode)}"

    def join_recollections(self, episodes: Sequence[str]) -> str:
        """Several retold episodes as one text."""
        return "\n\n".join(f"Earlier episode {number}\n{text}" for number, text in enumerate(episodes, 1))

    def join_experiences(self, texts: Sequence[str]) -> str:
        """Several experiences as one text, numbered; a single one as it is."""
        if len(texts) == 1:
            return texts[0]
        return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))


def actor_prompts(config: ActorConfig) -> ActorPrompts:
    """The prompt set that the parameters name. Raises ConfigError."""
    return ACTOR_PROMPTS.load(config.prompts, "actor.prompts")(config.inject, config.ask.max_uses)
