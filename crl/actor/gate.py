"""The gate: before an episode starts, the actor itself accepts, rewrites or rejects what was retrieved (method 5.1).

One generation in an engine session of its own: the gate's tokens never enter the episode's context and are never
trained. The bank is not changed by a refinement. A reply that cannot be read shows nothing.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from crl.actor import prompts_full
from crl.actor.prompts import ActorPrompts
from crl.engine.protocol import Engine, Sampling
from crl.envs.contract import Observation
from crl.models.chat import ChatFormat, Message
from crl.replies.parsing import JsonRefused, Style, last_block, strict_json
from crl.replies.screening import TextLimits, screen
from crl.tiny import actor_prompts as prompts_compact
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
        match self.decision:
            case GateDecision.ACCEPT:
                return retrieved
            case GateDecision.REFINE:
                return self.refined
            case _:
                return None


_UNPARSABLE = GateReply(GateDecision.UNPARSABLE)
_PLAIN = {"accept": GateReply(GateDecision.ACCEPT), "reject": GateReply(GateDecision.REJECT)}


@dataclass(frozen=True)
class Gate:
    """Asks and reads; made anew each round with the tasks' records."""

    prompts: ActorPrompts
    run_id: str
    max_new_tokens: int
    limits: TextLimits  # of a refined text: it is screened like one that enters the bank
    records: Mapping[str, TaskRecord]

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
        """One generation. `key` names the session and the request. Raises EngineError."""
        situation = "\n\n".join(message.content for message in self.prompts.opening(observation))
        record = self.records.get(task, TaskRecord())
        prompt_ids = chat.open(gate_messages(self.prompts.style, situation, retrieved, record))
        sampling = replace(sampling, stop=(), max_new_tokens=self.max_new_tokens)
        async with engine.session(key) as session:
            completion = await session.generate(prompt_ids, sampling, stable_id(self.run_id, key))
        return parse_gate(self.prompts.style, completion.text, self.limits)


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


def gate_messages(style: Style, situation: str, retrieved: str, record: TaskRecord) -> list[Message]:
    """What the actor is asked: the task as it will see it, the experience, and its own record."""
    wording = prompts_full if style == "full" else prompts_compact
    return wording.gate(situation, retrieved, record.mean_success, record.episodes)


def parse_gate(style: Style, text: str, limits: TextLimits) -> GateReply:
    """Never raises. Full: one JSON object in the last <answer> block. Compact: `accept`, `reject`, `refine TEXT`."""
    name, refined = _read_full(text) if style == "full" else _read_compact(text)
    if name in _PLAIN and refined is None:
        return _PLAIN[name]
    if name == "refine" and refined is not None and screen(refined, limits) is None:
        return GateReply(GateDecision.REFINE, refined)
    return _UNPARSABLE


def _read_full(text: str) -> tuple[str | None, str | None]:
    """Function name and refined text, both unchecked; (None, None) for any other JSON."""
    try:
        value = strict_json(last_block(text) or "")
    except JsonRefused:
        return None, None
    match value:
        case {"function_name": str(name), "parameters": {"refined_knowledge": str(refined)}}:
            return name.strip().lower(), refined.strip()
        case {"function_name": str(name)}:
            return name.strip().lower(), None
        case _:
            return None, None


def _read_compact(text: str) -> tuple[str | None, str | None]:
    first_line = text.strip().partition("\n")[0]
    name, _, rest = first_line.partition(" ")
    name = name.lower().rstrip(".:,")
    return name, rest.strip() or None if name == "refine" else None
