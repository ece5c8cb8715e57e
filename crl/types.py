"""The values that travel between the parts of the system, in the order of the data.

Task -> Completion -> Turn -> Episode -> Operation -> Experience. All are frozen: a value that crossed a queue, a
process or a checkpoint is the value that was measured.
"""

import uuid
from dataclasses import dataclass
from enum import StrEnum

NAMESPACE = uuid.UUID("6f1d0a52-7c1e-5f7f-9d7c-2f0c5a3e9b11")


def stable_id(*parts: object) -> str:
    """A UUIDv5 of the parts: the same cause gives the same id, so a retried write is idempotent."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(map(str, parts))))


@dataclass(frozen=True, slots=True)
class Task:
    """One instance to be solved: what `TextEnv.reset` takes, and a row of a task set's table."""

    id: str  # unique, e.g. "maze/train/17"
    name: str  # entry of the task mix: the unit of metrics and of the bank's scope, e.g. "maze"
    family: str  # which environment plays it, e.g. "minihack"
    level: str  # the family's own name of the level, e.g. "MiniHack-MazeWalk-9x9-v0"
    seed: int  # fixes the instance, together with the payload where there is one
    max_steps: int  # environment steps before time-out
    split: str = "train"  # "train" | "eval"
    payload: str = ""  # what a seed cannot say, in the family's own format: a record, a game
    goal: str = ""  # one sentence for people, tables and reports; the actor reads the observation's
    difficulty: float | None = None  # in the family's own unit: shortest solution, oracle steps, level


class Outcome(StrEnum):
    """How an episode ended; told apart because each asks for another remedy."""

    SUCCESS = "success"
    DEATH = "death"  # the environment ended it without success
    TIMEOUT = "timeout"  # the step or turn limit was reached
    TRUNCATED = "truncated"  # the context window was full


class TurnKind(StrEnum):
    ACTION = "action"  # a valid environment action
    INVALID = "invalid"  # no action could be parsed, or the environment does not know it
    ASK = "ask"  # a search-and-ask tool call


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model generated, token-exact, with what is needed to train on it later.

    `logprobs[t]` is the natural-log probability of `token_ids[t]` under softmax(logits / temperature)
    of weights `version` (before top-k / top-p truncation): the denominator of importance ratios.
    """

    id: str
    prompt_ids: tuple[int, ...]  # everything the model saw since its context began (or this turn's part)
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]  # nats, same length as token_ids
    text: str
    stop_reason: str  # "stop" (a stop string or end token) | "length"
    version: int  # of the weights that sampled it
    temperature: float = 1.0
    # Of each token the ids that it was drawn among, ascending, where the reply was one of a few choices: its log-prob is of the
    # softmax over these. A token with one alone was no choice. () as a whole: a free reply.
    allowed: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange. `completion.prompt_ids` holds only the ids that this turn added to the context."""

    kind: TurnKind
    observation: str  # text shown to the actor in this turn
    completion: Completion
    action: str | None  # parsed action name, or the ask tool's query
    reward: float = 0.0
    dropped: int = 0  # ids that the context lost at its end before these were added: `actor.thoughts: drop`


class GateDecision(StrEnum):
    ACCEPT = "accept"
    REFINE = "refine"
    REJECT = "reject"
    UNPARSABLE = "unparsable"  # shown nothing; counted
    TOO_LONG = "too_long"  # no room in the context, for the gate's prompt or for the text: shown nothing; counted
    OFF = "off"  # gate disabled: shown as retrieved
    EMPTY = "empty"  # nothing was retrieved


@dataclass(frozen=True, slots=True)
class Guidance:
    """What a guided episode was offered and shown at its start (or by the ask tool)."""

    query: str
    decision: GateDecision
    entry_ids: tuple[str, ...] = ()  # retrieved, whether or not they were shown
    retrieved: tuple[str, ...] = ()  # texts as retrieved, parallel to entry_ids
    shown: str | None = None  # the text injected into the prompt; None when nothing was
    recalled: int = 0  # earlier episodes in that text (actor.guidance: transcripts)


@dataclass(frozen=True, slots=True)
class AskUse:
    """One use of the search-and-ask tool; its completion is an extractor sample of its own."""

    query: str
    entry_ids: tuple[str, ...]
    completion: Completion | None  # None: nothing was retrieved, or no answer could be had; `answer` then says so
    answer: str


@dataclass(frozen=True, slots=True, order=True)
class EpisodeKey:
    """Where an episode belongs; its random streams and ids derive from this and the run seed."""

    round: int  # evaluation uses negative rounds, so no stream is shared with training
    group: int
    index: int  # position in the group: the free episodes first, then the guided ones

    def __str__(self) -> str:
        return f"r{self.round}.g{self.group}.e{self.index}"


@dataclass(frozen=True, slots=True)
class Episode:
    """A finished episode. Infrastructure failures never become one: see `EpisodeFailure`."""

    key: EpisodeKey
    task: Task
    guided: bool
    turns: tuple[Turn, ...]
    outcome: Outcome
    reward: float  # the sum of the binary outcome rewards, undiscounted
    env_steps: int
    guidance: Guidance | None = None  # None for free episodes
    asks: tuple[AskUse, ...] = ()
    score: float | None = None  # a graded score where the environment has one
    goal: str = ""
    final_observation: str = ""  # after the last action; in the extractor's transcript
    timeline: tuple["TimedSpan", ...] = ()
    opening_without_experience: tuple[int, ...] = ()  # ids of the first prompt, had nothing been shown

    @property
    def success(self) -> bool:
        return self.outcome is Outcome.SUCCESS

    @property
    def oldest_version(self) -> int:
        """Of the weights that sampled its turns."""
        return min(turn.completion.version for turn in self.turns)


@dataclass(frozen=True, slots=True)
class TimedSpan:
    """When an episode did what; seconds since the epoch. Never part of anything that is hashed."""

    name: str  # "retrieve" | "gate" | "generate" | "env_step" | "distil"
    start_s: float
    end_s: float


class FailureCause(StrEnum):
    """What an episode was lost to; every error that infrastructure raises names its own (`crl.errors`)."""

    ENV_CRASH = "env_crash"
    ENV_TIMEOUT = "env_timeout"
    ENV_CONTRACT = "env_contract"  # the environment's own fault
    ENV_UNAVAILABLE = "env_unavailable"  # this machine lacks, or has lost, what the environment needs
    SANDBOX = "sandbox"  # the container or its engine
    ENGINE = "engine"
    RETRIEVAL = "retrieval"
    EPISODE_TIMEOUT = "episode_timeout"


@dataclass(frozen=True, slots=True)
class EpisodeFailure:
    """An episode lost to infrastructure. It is never reward 0 and never enters an advantage."""

    key: EpisodeKey
    task: Task
    guided: bool
    cause: FailureCause
    detail: str
    attempts: int


class OperationKind(StrEnum):
    ADD = "add"
    UPDATE = "update"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Operation:
    """One bank operation as parsed from an extractor completion (strictly, already bounded)."""

    kind: OperationKind
    text: str = ""  # the new experience; empty for RETURN
    target_ids: tuple[str, ...] = ()  # entries that an UPDATE replaces


@dataclass(frozen=True, slots=True)
class Origin:
    """One time that an experience was written: any entry leads back to its episodes and completions."""

    completion_id: str
    episode: str  # str(EpisodeKey), "" for merges
    round: int
    purpose: str  # "distil" | "merge" | "seed" | "import" (crl.bank.start)


@dataclass(frozen=True, slots=True)
class Experience:
    """One entry of the bank: one text of one scope, however often it was written."""

    id: str
    task: str  # scope: the task name, or "shared"
    text: str
    key_text: str  # the situation that it was last written for; retrieved by the mean of all, see `bank.keys`
    origin: Origin  # the first
    parents: tuple[str, ...] = ()  # the entries that it replaced; they may have come back since
    shown: int = 0  # times it was retrieved for an episode
    last_shown_round: int = -1
    written: int = 1  # number of its origins
