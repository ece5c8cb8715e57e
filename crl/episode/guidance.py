"""What an oracle tells a guided episode in the place of an experience (`actor.guidance: oracle`): the ceiling of a study."""

from crl.config import Config
from crl.envs.registry import family_class
from crl.errors import ConfigError
from crl.types import GateDecision, Guidance, Task


def told_by_oracle(task: Task, query: str) -> Guidance:
    """The instance's own rule, past retrieval and gate. Raises ConfigError where the family has no oracle."""
    rule = _oracle(task.name, task.family)(task)
    return Guidance(query, GateDecision.OFF if rule else GateDecision.EMPTY, shown=rule or None)


def check_oracles(config: Config) -> None:
    """Raises ConfigError where an oracle is to guide and a family of the mix has none."""
    if config.actor.guidance == "oracle":
        for name, entry in config.tasks.mix.items():
            _oracle(name, entry.family)


def _oracle(name: str, family: str):
    oracle = getattr(family_class(family), "oracle", None)
    if oracle is None:
        raise ConfigError(
            f"actor.guidance = 'oracle': the family {family!r} of tasks.mix.{name} has no rule that an oracle could tell. "
            "Remedy: play the family rules, give yours a classmethod oracle(task) (crl/envs/family.py), or guidance: bank"
        )
    return oracle
