"""The gate: before an episode starts, the actor itself accepts, rewrites or rejects what was retrieved (method 5.1).

One generation in an engine session of its own: the gate's tokens never enter the episode's context and are never
trained. The bank is not changed by a refinement. A reply that cannot be read shows nothing, nor does a text that leaves the
gate's prompt no room in the context.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from crl.actor.prompts import ActorPrompts
from crl.engine.choices import Choices
from crl.engine.protocol import Engine, Sampling, fits
from crl.envs.contract import Observation
from crl.extractor.prompts import instructions
from crl.models.chat import ChatFormat
from crl.replies.screening import TextLimits, screen
from crl.replies.thoughts import after_thoughts, whole_reply
from crl.types import Experience, GateDecision, stable_id


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """How the actor did on a task in all training episodes so far, guided and free."""

    mean_success: float = 0.0
    episodes: int = 0


def success_records(ends: Iterable[tuple[str, bool]]) -> dict[str, TaskRecord]:
    """What the gate is told of the actor, from (task, success) of episodes without experience."""
    successes: dict[str, list[bool]] = defaultdict(list)
    for task, success in ends:
        successes[task].append(success)
    return {task: TaskRecord(sum(each) / len(each), len(each)) for task, each in successes.items()}


@dataclass(frozen=True, slots=True)
class GateReply:
    decision: GateDecision
    refined: str | None = None  # set exactly for REFINE

    def shown(self, retrieved: str) -> str | None:
        """The text that the episode is shown."""
        return retrieved if self.decision is GateDecision.ACCEPT else self.refined


@dataclass(frozen=True)
class Gate:
    """Asks and reads; made anew each round with the tasks' records."""

    prompts: ActorPrompts
    run_id: str
    max_new_tokens: int
    limits: TextLimits  # of a refined text: it is screened like one that enters the bank
    records: Mapping[str, TaskRecord]
    among: Choices | None = None  # the replies that it is drawn among; None: any text

    async def decide(
        self,
        engine: Engine,
        chat: ChatFormat,
        observation: Observation,
        retrieved: str,
        *,
        task: str,
        key: str,
        sampling: Sampling,
    ) -> GateReply:
        """One generation, or none where the prompt does not fit. `key` names the session and the request. Raises EngineError."""
        situation = "\n\n".join(message.content for message in self.prompts.opening(observation))
        record = self.records.get(task, TaskRecord())
        asked = self.prompts.gate(situation, retrieved, record.mean_success, record.episodes)
        prompt_ids = chat.open(asked)
        sampling = replace(sampling, stop=self.prompts.ends, max_new_tokens=self.max_new_tokens, among=self.among)
        async with engine.session(key) as session:
            if not fits(session, prompt_ids, self.among):
                return GateReply(GateDecision.TOO_LONG)
            completion = await session.generate(prompt_ids, sampling, stable_id(self.run_id, key))
        return parse_gate(self.prompts, whole_reply(completion, chat), self.limits, instructions(asked))


async def offered(
    prompts: ActorPrompts, inject: str, found: Sequence[Experience], ask: Callable[[str], Awaitable[GateReply]] | None
) -> tuple[GateDecision, str | None]:
    """What is shown of the experiences that were retrieved for a situation (paper section 3; method 5.1).

    `inject` is `actor.inject`; `ask` gives the gate's reply to the joined text, None: there is no gate.
    """
    if not found:
        return GateDecision.EMPTY, None
    text = prompts.join_experiences([entry.text for entry in found])
    if inject == "none":
        return GateDecision.OFF, None
    if ask is None:
        return GateDecision.OFF, text
    reply = await ask(text)
    return reply.decision, reply.shown(text)


def parse_gate(prompts: ActorPrompts, text: str, limits: TextLimits, told: str = "") -> GateReply:
    """What a reply to the set's `gate` decides, after all its thoughts; `told`: the prompt's instructions. Never raises."""
    said = after_thoughts(text)
    name, refined = (None, None) if said is None else prompts.read_gate(said)
    if name in ("accept", "reject") and refined is None:
        return GateReply(GateDecision(name))
    if name == "refine" and refined is not None and screen(refined, limits, told) is None:
        return GateReply(GateDecision.REFINE, refined)
    return GateReply(GateDecision.UNPARSABLE)
