"""Episodes as people read them: sampled transcripts, and timelines for a tracing backend."""

from collections.abc import Sequence
from dataclasses import dataclass

from crl.types import Episode, TimedSpan, TurnKind


@dataclass(frozen=True, slots=True)
class Line:
    role: str  # "goal" | "experience" | "observation" | "actor" | "tool"
    text: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """One episode as people read it."""

    episode: str
    task: str
    arm: str  # "guided" | "free"
    round: int
    outcome: str
    advice: str | None
    lines: tuple[Line, ...]
    phase: str = "train"


@dataclass(frozen=True, slots=True)
class Trace:
    """One episode's timeline, for a tracing backend."""

    name: str
    tags: dict[str, str]
    spans: tuple[TimedSpan, ...]
    inputs: dict[str, str]
    outputs: dict[str, str]


def transcript(episode: Episode, phase: str = "train") -> Transcript:
    """Everything the actor saw and said, in order, with the terminal observation."""
    lines = [Line("goal", episode.goal)]
    for turn in episode.turns:
        mark = " (invalid)" if turn.kind is TurnKind.INVALID else ""
        lines += [Line("observation", turn.observation), Line("actor", turn.completion.text + mark)]
    lines.append(Line("observation", episode.final_observation))
    advice = episode.guidance.shown if episode.guidance else None
    arm = "guided" if episode.guided else "free"
    return Transcript(
        str(episode.key), episode.task.name, arm, episode.key.round, episode.outcome, advice, tuple(lines), phase
    )


def trace(episode: Episode, lineage: str, distilled: TimedSpan | None = None) -> Trace:
    """The episode's timeline, with its distillation if that is done, and what leads to it from anywhere else."""
    guidance = episode.guidance
    actions = " ".join(turn.action or "?" for turn in episode.turns)
    return Trace(
        name=f"episode {episode.key}",
        tags={
            "lineage": lineage,
            "episode": str(episode.key),
            "task": episode.task.name,
            "level": episode.task.id,
            "arm": "guided" if episode.guided else "free",
            "entries": ",".join(guidance.entry_ids) if guidance else "",
        },
        spans=(*episode.timeline, distilled) if distilled else episode.timeline,
        inputs={"goal": episode.goal, "experience": (guidance.shown or "") if guidance else ""},
        outputs={"outcome": episode.outcome, "reward": str(episode.reward), "actions": actions},
    )


def sample(episodes: Sequence[Episode], count: int) -> list[Episode]:
    """A few episodes that differ: successes and failures, guided and free in turn."""
    buckets: dict[tuple[bool, bool], list[Episode]] = {}
    for episode in episodes:
        buckets.setdefault((episode.guided, episode.success), []).append(episode)
    chosen: list[Episode] = []
    while len(chosen) < min(count, len(episodes)):
        for key in sorted(buckets, reverse=True):
            if buckets[key] and len(chosen) < count:
                chosen.append(buckets[key].pop(0))
    return chosen
