"""What parameters may name: implementations of ours, of an installed package, or given as `module:name`.

They live in layers above this one, and some need torch: nothing is imported before it is asked for.
"""

from functools import partial

from crl.named import Choice, in_folder, in_module

_OBSERVATIONS = {"grid": "crl.envs.registry:as_it_is", "slots": "crl.tiny.slots:in_slots"}  # (family, env) -> env
_ACTOR_PROMPTS = {
    "full": "crl.actor.prompts_full:FullActorPrompts",
    "brief": "crl.actor.prompts_brief:BriefActorPrompts",
    "compact": "crl.tiny.prompts:CompactActorPrompts",
}
_EXTRACTOR_PROMPTS = {
    "full": "crl.extractor.prompts_full:FullExtractorPrompts",
    "brief": "crl.extractor.prompts_brief:BriefExtractorPrompts",
    "compact": "crl.tiny.prompts:CompactExtractorPrompts",
    "compact_transcript": "crl.tiny.prompts:TellingExtractorPrompts",
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
