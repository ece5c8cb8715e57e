"""The compact prompt sets, for models with a vocabulary of a few hundred words: no instructions that they could not read.

Everything stands on one line: tokenizers that split at blanks spend no token on the layout. There is no system message,
so `inject: system` and `inject: user` are the same here.
"""

from collections.abc import Sequence

from crl.actor.actions import ASK_CLOSE, ASK_OPEN
from crl.actor.prompts import ActorPrompts
from crl.envs.contract import Observation
from crl.models.chat import Message
from crl.types import Episode

NOW = "now:"  # where the head of an episode ends and the first observation begins
UNKNOWN = "unknown"
_MIN_CHARS = 4  # an advice is a phrase


class CompactActorPrompts(ActorPrompts):
    """Goal, advice, observation; the reply is the bare action word.

    An opening costs the goal, the observation and a word between them, and one word more than the advice if there is one.
    """

    min_chars = _MIN_CHARS

    def first(self, observation: Observation, experience: str | None, *, ask_uses: int) -> list[Message]:
        advice = () if experience is None else ("advice:", experience)
        asking = ("ask:", ASK_OPEN, ASK_CLOSE) if ask_uses else ()
        return [_message(observation.goal, *advice, *asking, NOW, observation.text)]

    def following(self, observation: Observation, *, valid: bool = True) -> Message:
        return _message("" if valid else UNKNOWN, observation.text)

    def answered(self, answer: str, *, uses_left: int) -> Message:
        return _message("advice:", answer)

    def retold(self, episode: Episode) -> str:
        turns = (f"{turn.observation} {turn.action or UNKNOWN}" for turn in episode.turns)
        return " ".join((episode.outcome.value, *turns, episode.final_observation))

    def join_recollections(self, episodes: Sequence[str]) -> str:
        return "\n".join(episodes)

    def gate(self, situation: str, retrieved: str, mean_success: float, episodes: int) -> list[Message]:
        return [_message(situation, "consider:", retrieved, f"success {mean_success:.1f}", "accept refine reject")]

    def read_gate(self, text: str) -> tuple[str | None, str | None]:
        """`accept`, `reject`, or `refine TEXT` in the first line."""
        name, _, rest = text.strip().partition("\n")[0].partition(" ")
        name = name.lower().rstrip(".:,")
        return name, rest.strip() or None if name == "refine" else None


def observation_in(message: str) -> str:
    """The observation's text in a message of `opening` or `following`."""
    head, _, rest = message.partition(f"{NOW} ")
    return (rest or head).removeprefix(f"{UNKNOWN} ").strip()


class CompactExtractorPrompts:
    """A few common words. A distillation prompt has at most about 40, entries included, and no transcript."""

    min_chars = _MIN_CHARS
    form = "bare"

    def distil(
        self, episode: Episode, entries: Sequence[str], *, max_operations: int, last_turns: int | None
    ) -> list[Message]:
        return [_message("distil", episode.task.name, episode.outcome.value, *_numbered(entries))]

    def merge(self, scope: str, entries: Sequence[str]) -> list[Message]:
        return [_message("merge", scope, *_numbered(entries))]

    def ask(self, query: str, entry: str) -> list[Message]:
        return [_message("ask", query, *_numbered([entry]))]


class TellingExtractorPrompts(CompactExtractorPrompts):
    """The same, with what was seen and done in the last turns, and the end of the episode.

    They come last, where each word is as far from the reply as in any other episode of as many turns: easy to copy from.
    """

    def distil(
        self, episode: Episode, entries: Sequence[str], *, max_operations: int, last_turns: int | None
    ) -> list[Message]:
        left_out = 0 if last_turns is None else max(0, len(episode.turns) - last_turns)
        seen = [f"{turn.observation} {turn.action or UNKNOWN}" for turn in episode.turns[left_out:]]
        (head,) = super().distil(episode, entries, max_operations=max_operations, last_turns=last_turns)
        return [_message(head.content, NOW, *seen, episode.final_observation)]


def _message(*parts: str) -> Message:
    return Message("user", " ".join(" ".join(parts).split()))


def _numbered(entries: Sequence[str]) -> list[str]:
    return [f"{number} {entry}" for number, entry in enumerate(entries, 1)]
