"""The actor's prompts for small chat models: plain sentences, and as few as hold what the environment tells.

Goal and actions are left out where the environment's own text has them already. The reply is the bare name of an action on
one line, so it ends at a line break: a model that thinks aloud must be told not to (`models.actor.template_arguments`).
"""

import re

from crl.actor.actions import ASK_CLOSE, ASK_OPEN, BLANK
from crl.actor.prompts import ActorPrompts
from crl.envs.contract import Observation
from crl.models.chat import Message

_ROLE = "You play a game."
_PICK = "Write one of the actions and nothing else."
_INVALID = "That is not one of the actions. Nothing has changed."
_GATE = "Is the note useful for the task? Answer yes or no."
_YES_NO = re.compile(r"\W*(?:(?P<yes>yes)|no|the note is (?P<not>not )?(?:\w+ )?(?:use|help)ful)\b", re.IGNORECASE)


class BriefActorPrompts(ActorPrompts):
    """The prompt set `brief`."""

    min_chars = 12  # the shortest sentence that tells what to do
    ends = ("\n",)
    verdicts = ("Yes", "No", "yes", "no")  # as the model likes to spell it

    def first(self, observation: Observation, experience: str | None, *, ask_uses: int) -> list[Message]:
        in_system = self.inject == "system"
        advice = f"Advice: {_line(experience)}" if experience is not None else ""
        asking = f"To ask for help instead: {ASK_OPEN}your question{ASK_CLOSE}" if ask_uses else ""
        told = f"{observation.manual}\n{observation.text}"
        goal = "" if observation.goal in told else f"Goal: {observation.goal}"
        system = _lines(_ROLE, observation.manual, advice if in_system else "")
        user = _lines("" if in_system else advice, goal, asking, _turn(observation))
        return [Message("system", system), Message("user", user)]

    def following(self, observation: Observation, *, valid: bool = True) -> Message:
        return Message("user", _lines("" if valid else _INVALID, _turn(observation)))

    def answered(self, answer: str, *, uses_left: int) -> Message:
        return Message("user", _lines(f"Advice: {_line(answer)}", _PICK))

    def gate(self, situation: str, retrieved: str, mean_success: float, episodes: int) -> list[Message]:
        record = f"Success so far: {mean_success:.2f} in {episodes} tries."
        user = _lines(f"Task: {situation}", record, f"Note: {_line(retrieved)}", _GATE)
        return [Message("user", user)]

    def read_gate(self, text: str) -> tuple[str | None, str | None]:
        """It begins with yes, with no, or with the question as a statement."""
        said = _YES_NO.match(text)
        if said is None:
            return None, None
        useful = said["yes"] or (said[0].casefold().endswith("ful") and not said["not"])
        return ("accept" if useful else "reject"), None


def _turn(observation: Observation) -> str:
    names = (*observation.actions, *(form.replace("{}", BLANK) for form in observation.forms if form != "{}"))
    listed = ", ".join(names)
    actions = f"Actions: {listed}" if listed not in observation.text else ""
    return _lines(observation.text, actions, _PICK)


def _line(text: str) -> str:
    return " ".join(text.split())


def _lines(*parts: str) -> str:
    return "\n".join(filter(None, parts))
