"""The actor's prompts for tiny models: goal, advice, observation on one line; the reply is the bare action word.

An opening costs the goal, the observation and a word between them, and one word more than the advice if there is one.
There is no system message, so `inject: system` and `inject: user` are the same here.
"""

from crl.actor.actions import ASK_CLOSE, ASK_OPEN
from crl.envs.contract import Observation
from crl.models.chat import Message

NOW = "now:"  # where the head of an episode ends and the first observation begins
UNKNOWN = "unknown"


def opening(observation: Observation, experience: str | None, *, in_system: bool, ask_uses: int) -> list[Message]:
    parts = [observation.goal]
    if experience is not None:
        parts += ["advice:", experience]
    if ask_uses:
        parts += ["ask:", ASK_OPEN, ASK_CLOSE]
    return [_message(*parts, NOW, observation.text)]


def following(observation: Observation, valid: bool) -> Message:
    return _message("" if valid else UNKNOWN, observation.text)


def observation_in(message: str) -> str:
    """The observation's text in a message of this style."""
    head, _, rest = message.partition(f"{NOW} ")
    return (rest or head).removeprefix(f"{UNKNOWN} ").strip()


def answered(answer: str, uses_left: int) -> Message:
    return _message("advice:", answer)


def gate(situation: str, retrieved: str, mean_success: float, episodes: int) -> list[Message]:
    return [_message(situation, "consider:", retrieved, f"success {mean_success:.1f}", "accept refine reject")]


def _message(*parts: str) -> Message:
    return Message("user", " ".join(" ".join(parts).split()))
