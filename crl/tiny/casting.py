"""Who plays what in the warm start: each entry's script (or chance, where it has none), each episode's strategy."""

from collections.abc import Mapping
from dataclasses import dataclass

from crl.config import Config
from crl.engine.spoken import Speaker
from crl.envs.registry import family_name
from crl.episode.plan import EpisodeSpec
from crl.errors import ConfigError
from crl.seeding import pick, stream
from crl.tasks.sets import TaskSets
from crl.tiny.prompts import observation_in
from crl.tiny.scripts import SCRIPTS, script_of
from crl.tiny.scripts.chance import chance_script
from crl.tiny.scripts.script import Script, Strategy
from crl.types import Experience, Origin, Task


@dataclass(frozen=True)
class Cast:
    """One entry's script, and the strategies that advised and unadvised episodes draw from."""

    script: Script
    advised: tuple[Strategy, ...]
    spontaneous: tuple[Strategy, ...]


def casts(config: Config, tasks: TaskSets) -> Mapping[str, Cast]:
    """By entry of the mix that can be played. Raises ConfigError for skills that are none, a style that no script reads."""
    return {name: _cast(config, instances[0]) for name, instances in tasks.train.items()}


def _cast(config: Config, task: Task) -> Cast:
    settings, script = config.warm_start, script_of(task.family, task.level) or chance_script(config, task)
    if config.envs.observation == "grid" and family_name(task.family) in SCRIPTS:
        raise ConfigError(
            f"envs.observation = 'grid': models from scratch learn from scripted play, which reads slots (tasks.mix.{task.name}). "
            "Remedy: envs.observation: slots, or name a model as models.actor.source and models.extractor.source"
        )
    skills = settings.skills.get(task.family, tuple(script.phrases))
    spontaneous = settings.spontaneous.get(task.family, script.spontaneous)
    return Cast(script, script.strategies(skills), script.strategies(spontaneous))


@dataclass(frozen=True)
class Casting:
    """Which episode plays which strategy: advised ones any of their entry's, the others a spontaneous one.

    It stands where the bank's read side stands: each episode retrieves the advice that its policy will follow.
    """

    seed: int
    casts: Mapping[str, Cast]  # by entry of the mix
    specs: Mapping[str, EpisodeSpec]  # by the episode's key

    def strategy(self, key: str) -> Strategy:
        cast, guided = self.casts[self.specs[key].task.name], self.specs[key].guided
        return pick(cast.advised if guided else cast.spontaneous, stream(self.seed, "casting", key))

    def speaker(self, key: str) -> Speaker:
        """Plays an episode: reads the observation back from the rendered messages, as the model will have to."""
        policy = self.strategy(key).start(stream(self.seed, "script", key))
        return lambda heard: policy.act(observation_in(heard.rpartition("<|user|>")[2].partition("<|")[0]))

    async def retrieve(self, scope: str, text: str, *, key: str, round: int) -> list[Experience]:
        script = self.casts[self.specs[key].task.name].script
        advice = script.told(self.strategy(key), text.rpartition("\n")[2])  # the sentence, as `situation` puts it
        return [Experience(f"script/{key}", scope, advice, text, Origin("", key, round, "seed"))]
