"""Everything the actor is told in an episode, in the style that fits the model (method 5.2, 5.3, 8.5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from crl.actor import prompts_full
from crl.actor.actions import ASK_CLOSE
from crl.config.play import ActorConfig
from crl.envs.contract import Observation
from crl.models.chat import Message
from crl.replies.parsing import Style
from crl.tiny import actor_prompts as prompts_compact

_STYLES: dict[Style, ModuleType] = {"full": prompts_full, "compact": prompts_compact}


@dataclass(frozen=True, slots=True)
class ActorPrompts:
    """The messages of an episode; a function of its arguments alone."""

    style: Style
    inject: Literal["system", "user", "none"]
    ask_uses: int  # budget of the search-and-ask tool

    @classmethod
    def of(cls, config: ActorConfig) -> "ActorPrompts":
        return cls(config.prompts, config.inject, config.ask.max_uses)

    def opening(
        self, observation: Observation, experience: str | None = None, *, ask_manual: bool = False
    ) -> list[Message]:
        """The messages before the first reply. `inject: none` keeps the experience out (an ablation)."""
        return _STYLES[self.style].opening(
            observation,
            None if self.inject == "none" else experience,
            in_system=self.inject == "system",
            ask_uses=self.ask_uses if ask_manual else 0,
        )

    def following(self, observation: Observation, *, valid: bool = True) -> Message:
        """What the environment answers to a reply; `valid=False`: it did not understand, the world did not move."""
        return _STYLES[self.style].following(observation, valid)

    def answered(self, answer: str, *, uses_left: int) -> Message:
        """What the search-and-ask tool answers; the world did not move."""
        return _STYLES[self.style].answered(answer, uses_left)

    def stop_strings(self, *, asking: bool) -> tuple[str, ...]:
        """A tool call ends the reply. `</answer>` does not: a model that thinks aloud may quote it."""
        return (ASK_CLOSE,) if asking else ()

    def join_experiences(self, texts: Sequence[str]) -> str:
        """Several experiences as one text, numbered; a single one as it is."""
        if len(texts) == 1:
            return texts[0]
        return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))
