"""What parameters may name: implementations of ours, of an installed package, or given as `module:name`.

They live in layers above this one, and some need torch: nothing is imported before it is asked for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from crl.named import in_folder, in_module, load_named, target_of


@dataclass(frozen=True, slots=True)
class Choice:
    """Implementations of one kind."""

    what: str  # one of them is, for errors
    group: str  # entry points of other packages
    built_in: Callable[[], Mapping[str, str]]  # name -> `module:name` of ours

    def check(self, value: str, field: str) -> None:
        """Raises ConfigError for a name that nobody knows; `field` holds it.

        What is known by name is not imported; `module:name` is, so that a slip is told now and not hours into a run.
        """
        if ":" in value:
            self.load(value, field)
        else:
            target_of(value, self.built_in(), field=field, what=self.what, group=self.group)

    def load(self, value: str, field: str) -> Any:
        """The class or function. Raises ConfigError for one that is unknown or does not load."""
        return load_named(value, self.built_in(), field=field, what=self.what, group=self.group)


_OBSERVATIONS = {"grid": "crl.envs.registry:as_it_is", "slots": "crl.tiny.slots:in_slots"}  # (family, env) -> env
_ACTOR_PROMPTS = {"full": "crl.actor.prompts_full:FullActorPrompts", "compact": "crl.tiny.prompts:CompactActorPrompts"}
_EXTRACTOR_PROMPTS = {
    "full": "crl.extractor.prompts_full:FullExtractorPrompts",
    "compact": "crl.tiny.prompts:CompactExtractorPrompts",
}

ACTOR_PROMPTS = Choice("prompt set", "crl.actor_prompts", lambda: _ACTOR_PROMPTS)
EXTRACTOR_PROMPTS = Choice("prompt set", "crl.extractor_prompts", lambda: _EXTRACTOR_PROMPTS)
OBSERVATIONS = Choice("observation style", "crl.observations", lambda: _OBSERVATIONS)
# An engine's declarations are light; what is heavy is imported when one is opened.
_ENGINES = {name: f"crl.engine.kinds:{name.title()}" for name in ("transformers", "vllm", "server")}
ENGINES = Choice("engine", "crl.engines", lambda: _ENGINES)
EMBEDDERS = Choice("embedder", "crl.embedders", dict)  # asked for `module:Class` alone: a plain name is a model
OBJECTIVES = Choice("objective", "crl.objectives", partial(in_folder, "crl.learn.objectives", "Objective"))
ADVANTAGES = Choice("advantage estimator", "crl.advantages", partial(in_module, "crl.learn.advantages"))
REWARDS = Choice("reward", "crl.rewards", partial(in_module, "crl.learn.rewards"))
VECTOR_STORES = Choice("vector store", "crl.vector_stores", partial(in_folder, "crl.bank.stores", "Store"))
