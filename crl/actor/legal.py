"""Replies that can be listed (`actor.replies: legal`): the actions that the environment takes now, written as the prompts ask for
them, and the gate's yes and no."""

from collections.abc import Sequence
from functools import cached_property, lru_cache

from crl.actor.actions import parse_action
from crl.actor.prompts import ActorPrompts, actor_prompts
from crl.config import Config
from crl.engine.choices import Choices
from crl.envs.contract import Observation
from crl.envs.registry import family_class
from crl.errors import ConfigError
from crl.models.chat import ChatFormat, Message
from crl.replies.thoughts import opened_thought

_FREE = "actor.replies: free"


class LegalReplies:
    """Makes the choices of a turn; made once for many, since actions come again and again."""

    def __init__(self, prompts: ActorPrompts, chat: ChatFormat) -> None:
        """Raises ConfigError for a template that begins replies with a thought: an action in it would not be read."""
        self._prompts, self._chat = prompts, chat
        if mark := opened_thought(chat.open([Message("user", "")]), chat):
            raise ConfigError(
                f"actor.replies = 'legal': the chat template begins each reply with {mark.strip()}. Remedy: what switches thoughts "
                f"off in models.actor.template_arguments, such as {{enable_thinking: false}}; or {_FREE}"
            )
        if not chat.closing:
            raise ConfigError(
                f"actor.replies = 'legal': nothing ends a turn of the actor's model. Remedy: another model, or {_FREE}"
            )
        self._ids = lru_cache(maxsize=8192)(self._spell)
        self._choices = lru_cache(maxsize=512)(self._choose)

    def among(self, seen: Observation) -> Choices:
        """The replies that name an action which is legal now. Raises ConfigError where those cannot be listed, or not be read."""
        if seen.forms or not seen.actions:
            offered = f"the free forms {', '.join(seen.forms)}" if seen.forms else "no action by name"
            raise ConfigError(
                f"actor.replies = 'legal': the environment offers {offered}. Remedy: {_FREE}, or an envs.observation that lists "
                "all actions (slots does)"
            )
        return self._choices(seen.actions)

    @cached_property
    def verdicts(self) -> Choices | None:
        """The gate's replies, where the prompt set lists them. Raises ConfigError for one that would not be read."""
        replies = []
        for verdict in self._prompts.verdicts:
            replies.append(ids := self._chat.encode(verdict))
            if self._prompts.read_gate(said := self._chat.decode(ids))[0] is None:
                raise ConfigError(
                    f"actor.replies = 'legal': {said[:60]!r}, a verdict of {type(self._prompts).__name__}, would not be "
                    f"read as one. Remedy: verdicts that its read_gate reads, or {_FREE}"
                )
        return Choices(replies, *self._chat.closing) if replies else None

    def _choose(self, actions: Sequence[str]) -> Choices:
        return Choices(map(self._ids, actions), *self._chat.closing)

    def _spell(self, action: str) -> tuple[int, ...]:
        ids = self._chat.encode(self._prompts.naming(action))
        if parse_action(said := self._chat.decode(ids), (action,)) != action:
            raise ConfigError(
                f"actor.replies = 'legal': {said[:60]!r}, which names the action {action[:60]!r}, would not be read as it. Remedy: "
                f"short names without tags, or {_FREE}"
            )
        return ids


def check_actions_fit(config: Config) -> None:
    """Raises ConfigError where a family of the mix takes free text that the actor's replies cannot be."""
    if config.envs.observation != "grid":
        return
    for name, entry in config.tasks.mix.items():
        forms = getattr(family_class(entry.family), "forms", ())
        if forms and config.actor.replies == "legal":
            raise ConfigError(
                f"actor.replies = 'legal': the family {entry.family!r} of tasks.mix.{name} takes {', '.join(forms)} with any "
                f"text, and nobody can list that. Remedy: {_FREE}, envs.observation: slots, or another family"
            )
        if "{}" in forms and "\n" in actor_prompts(config.actor).ends:
            raise ConfigError(
                f"actor.prompts = {config.actor.prompts!r} end a reply at a line break, and the family {entry.family!r} of "
                f"tasks.mix.{name} takes actions of several lines. Remedy: actor.prompts: full, or envs.observation: slots"
            )
