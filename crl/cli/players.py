"""Who can play in the terminal: a human, chance, a scripted policy, an oracle, a model. Each names one action a turn."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from rich.console import Console

from crl.envs.contract import Observation
from crl.envs.registry import make_env
from crl.errors import ConfigError
from crl.seeding import derive_seed
from crl.tiny.scripts import script_of, solution_of
from crl.types import Task

_SHORT = {
    "n": "north", "ne": "northeast", "e": "east", "se": "southeast", "s": "south", "sw": "southwest", "w": "west",
    "nw": "northwest", "p": "pick_up", "a": "apply",
}  # fmt: skip


class Hand(ABC):
    """Whoever names the actions; the environment is played by the terminal itself."""

    @abstractmethod
    async def act(self, observation: Observation, valid: bool) -> str:
        """The next action; `valid` tells whether the last one was understood."""

    def close(self) -> None:
        return None


class Human(Hand):
    """Types action names, or their initials; an empty line or Ctrl-D ends the game."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def act(self, observation: Observation, valid: bool) -> str:
        try:
            typed = self._console.input("[bold]action[/] (n ne e ... p a, empty line quits) > ").strip()
        except EOFError:
            typed = ""
        if not typed:
            raise KeyboardInterrupt
        return _SHORT.get(typed, typed)


class Chance(Hand):
    """Any action that is offered. Raises ConfigError where there is none to choose from: free forms alone."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    async def act(self, observation: Observation, valid: bool) -> str:
        if not observation.actions:
            raise ConfigError(
                f"--player random: the environment offers no names now, only the forms {', '.join(observation.forms)}. "
                "Remedy: use --player human, oracle or model"
            )
        return observation.actions[int(self._rng.integers(len(observation.actions)))]


class Scripted(Hand):
    """A scripted policy reads slots; it plays along in a twin of the game, which shows them in any style.

    The game is deterministic in its task, so the twin is always in the same state.
    """

    def __init__(self, task: Task, skills: Sequence[str], rng: np.random.Generator) -> None:
        script = script_of(task.family, task.level)
        if script is None:
            raise ConfigError(f"--player scripted: {task.family} has no scripted play. Remedy: use --player random")
        try:
            strategy = script.strategies(skills or script.best)[0]
        except ConfigError as error:
            raise ConfigError(f"--skill: {error}") from None
        self._policy = strategy.start(rng)
        self._twin = make_env(task.family, "slots")
        self._observation = self._twin.reset(task)

    async def act(self, observation: Observation, valid: bool) -> str:
        action = self._policy.act(self._observation.text)
        if action not in observation.actions:
            raise ConfigError(
                f"--player scripted: its action {action!r} is of the slots style only. Remedy: add --observation slots"
            )
        self._observation = self._twin.step(action).observation
        return action

    def close(self) -> None:
        self._twin.close()


class Oracle(Hand):
    """Plays the proof that the task can be solved."""

    def __init__(self, task: Task, observation: str) -> None:
        solution = solution_of(task.family)
        if solution is None or observation != "grid":
            raise ConfigError(
                f"--player oracle: {task.family} in the style {observation!r} has no oracle. Remedy: use --observation grid, "
                "or another player"
            )
        self._actions = iter(solution(task))

    async def act(self, observation: Observation, valid: bool) -> str:
        return next(self._actions)


class Model(Hand):
    """A causal language model in Hugging Face format, prompted as in training but without experience.

    `hear` is given each reply piece by piece while the model writes it, as the pieces become whole characters. `legal`: each
    reply is one of the turn's actions (`actor.replies`).
    """

    def __init__(
        self, source: str, prompts: str, temperature: float, max_new_tokens: int, seed: int,
        hear: Callable[[str], None], legal: bool,
    ) -> None:  # fmt: skip
        from crl.actor.legal import LegalReplies
        from crl.actor.prompts import actor_prompts
        from crl.config.play import ActorConfig
        from crl.engine.protocol import Sampling
        from crl.engine.transformers import TransformersEngine
        from crl.models.chat import ChatFormat
        from crl.models.context import longest_context
        from crl.models.resolve import load_model, stops_of

        self._prompts = actor_prompts(ActorConfig(prompts=prompts, inject="none"))
        model, tokenizer = load_model(source)
        self._chat, self._tokenizer = ChatFormat(tokenizer, stops_of(model)), tokenizer.backend_tokenizer
        self._legal = LegalReplies(self._prompts, self._chat) if legal else None
        self._hear = hear
        context_tokens = min(longest_context(model.config.to_dict()) or 32_768, 32_768)
        self._engine = TransformersEngine(
            model, tokenizer, end_ids=self._chat.end_ids, max_sessions=1, context_tokens=context_tokens, turnstile=None
        )
        self._session = self._engine.session("play")
        self._sampling = Sampling(temperature=temperature, max_new_tokens=max_new_tokens)
        self._seed, self._turn = seed, 0
        self._said: tuple[int, ...] = ()  # the last reply; none before the first

    async def act(self, observation: Observation, valid: bool) -> str:
        from tokenizers.decoders import DecodeStream

        from crl.actor.actions import parse_action, unread
        from crl.replies.thoughts import whole_reply

        stream = DecodeStream(skip_special_tokens=False)

        def hear(token: int) -> None:
            if token not in self._chat.end_ids and (piece := stream.step(self._tokenizer, token)):
                self._hear(piece)

        if not self._said:
            await self._session.__aenter__()
            new_ids = self._chat.open(self._prompts.opening(observation))
        else:
            new_ids = self._chat.reply([self._prompts.following(observation, valid=valid)], self._said)
        among = self._legal and self._legal.among(observation)
        sampling = replace(self._sampling, seed=derive_seed(self._seed, "play", self._turn), among=among)
        completion = await self._session.generate(new_ids, sampling, f"play/{self._turn}", hear)
        self._hear("\n")
        self._turn += 1
        self._said = completion.token_ids
        text = whole_reply(completion, self._chat)
        return parse_action(text, observation.actions, observation.forms) or unread(text, observation.forms)

    def close(self) -> None:
        self._engine.close()
