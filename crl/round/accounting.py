"""What a round's episodes say: metrics of the rollout, where its time went, the round's report."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from crl.bank.bank import Bank
from crl.episode.transcripts import sample, trace, transcript
from crl.learn.advantages import carries_signal, subgroups
from crl.round.parts import Parts
from crl.round.report import EffectRow, RoundReport
from crl.types import Episode, EpisodeFailure, EpisodeKey, GateDecision, Outcome, TimedSpan, TurnKind


def rollout_metrics(ends: Sequence[Episode | EpisodeFailure]) -> dict[str, float]:
    """`rollout/*`, `gate/*` and `env/*` of one round."""
    episodes = [end for end in ends if isinstance(end, Episode)]
    failures = [end for end in ends if isinstance(end, EpisodeFailure)]
    guided = [episode for episode in episodes if episode.guided]
    free = [episode for episode in episodes if not episode.guided]
    turns = [turn for episode in episodes for turn in episode.turns]
    metrics = {
        "rollout/episodes": float(len(episodes)),
        "rollout/failed": float(len(failures)),
        "rollout/success": _mean(episode.success for episode in episodes),
        "rollout/success_free": _mean(episode.success for episode in free),
        "rollout/success_guided": _mean(episode.success for episode in guided),
        "rollout/reward": _mean(episode.reward for episode in episodes),
        "rollout/turns": _mean(len(episode.turns) for episode in episodes),
        "env/steps": float(sum(episode.env_steps for episode in episodes)),
        "env/invalid_share": _mean(turn.kind is TurnKind.INVALID for turn in turns),
        "generate/tokens": float(sum(len(turn.completion.token_ids) for turn in turns)),
    }
    for outcome in Outcome:
        metrics[f"rollout/{outcome}_share"] = _mean(episode.outcome is outcome for episode in episodes)
    for cause in {failure.cause for failure in failures}:
        metrics[f"rollout/failed_{cause}"] = float(sum(failure.cause is cause for failure in failures))
    metrics |= _signal_metrics(ends, episodes)
    for name in sorted({episode.task.name for episode in episodes}):
        for arm, members in (("free", free), ("guided", guided)):
            metrics[f"rollout/{name}_success_{arm}"] = _mean(e.success for e in members if e.task.name == name)
    offered = [episode.guidance for episode in guided if episode.guidance]
    for decision in GateDecision:
        metrics[f"gate/{decision}"] = float(sum(guidance.decision is decision for guidance in offered))
    metrics["rollout/shown_share"] = _mean(guidance.shown is not None for guidance in offered)
    asks = [use for episode in episodes for use in episode.asks]
    metrics["rollout/asks"] = float(len(asks))
    metrics["rollout/asks_unanswered"] = float(sum(use.completion is None for use in asks))
    return metrics


def _signal_metrics(ends: Sequence[Episode | EpisodeFailure], episodes: Sequence[Episode]) -> dict[str, float]:
    """Groups played, what share of their subgroups the actor can learn from, and the episodes of the others."""
    compared = subgroups(episodes)
    flat = [subgroup for subgroup in compared if not carries_signal(subgroup)]
    metrics = {
        "rollout/groups": float(len({end.key.group for end in ends})),
        "rollout/guided_share": _mean(end.guided for end in ends),
        "rollout/signal_share": _mean(carries_signal(subgroup) for subgroup in compared),
        "rollout/signal_subgroups": float(len(compared) - len(flat)),
        "rollout/flat_episodes": float(sum(map(len, flat))),
    }
    for name in sorted({end.task.name for end in ends}):
        own = [end for end in ends if end.task.name == name]
        metrics[f"rollout/{name}_groups"] = float(len({end.key.group for end in own}))
        metrics[f"rollout/{name}_guided_share"] = _mean(end.guided for end in own)
        metrics[f"rollout/{name}_signal_share"] = _mean(
            carries_signal(subgroup) for subgroup in compared if subgroup[0].task.name == name
        )
    return metrics


def _mean(values: Iterable[float | bool]) -> float:
    """Mean, NaN when there is nothing: absent is not zero."""
    values = list(values)
    return float(np.mean(values)) if values else float("nan")


def effect_rows(bank: Bank) -> list[EffectRow]:
    """All entries with a measured effect, best first (pooled with what is alike)."""
    measured = [(entry, effect) for entry in bank.entries() if (effect := bank.effect(entry.id))]
    measured.sort(key=lambda pair: (-pair[1].mean, pair[0].id))
    return [
        EffectRow(entry.id, entry.task, entry.text, effect.mean, effect.low, effect.high, effect.groups, entry.shown)
        for entry, effect in measured
    ]


def report(
    parts: Parts, round_: int, ends: Sequence[Episode | EpisodeFailure], metrics: dict[str, float],
    distilled: Mapping[EpisodeKey, TimedSpan], *, closing: bool,
) -> RoundReport:  # fmt: skip
    """What people and trackers get to see of a round; `closing`: of what was done after the last one."""
    episodes = sorted((end for end in ends if isinstance(end, Episode)), key=lambda episode: episode.key)
    record, rows, shown = parts.config.record, effect_rows(parts.bank), 5
    return RoundReport(
        round=round_,
        metrics=dict(sorted(metrics.items())),
        learned=in_words("After the last round" if closing else f"Round {round_}", metrics),
        closing=closing,
        best=tuple(rows[:shown]),
        worst=tuple(reversed(rows[shown:][-shown:])),
        transcripts=tuple(transcript(episode) for episode in sample(episodes, record.transcripts)),
        traces=tuple(
            trace(episode, parts.run_id, distilled.get(episode.key))
            for episode in sample(episodes, record.traced_episodes)
        ),
    )


_NO_ROOM = {  # what did not fit into a context, in words, and whose context it is
    "distil/refused_prompt_too_long": ("episodes not distilled, since no prompt fits the context", "extractor"),
    "gate/too_long": ("guided episodes shown nothing, since it does not fit the context", "actor"),
}


def in_words(when: str, metrics: dict[str, float]) -> str:
    rates = {
        f"{arm} episodes": metrics.get(f"rollout/success_{arm}", math.nan) for arm in ("free", "guided")
    }  # fmt: skip
    played = " and ".join(f"{rate:.0%} of the {whose}" for whose, rate in rates.items() if math.isfinite(rate))
    valid = metrics.get("distil/valid_share", math.nan)
    facts = [f"{played} succeeded"] if played else []
    facts += [f"{valid:.0%} of the extractor's replies were valid"] if math.isfinite(valid) else []
    if metrics.get("extractor/guard_taken_back"):
        facts.append("the extractor's last update was taken back")
    for name, (what, role) in _NO_ROOM.items():
        if count := metrics.get(name, 0.0):
            facts.append(f"{what}: {count:.0f} (remedy: raise models.{role}.context_tokens)")
    return f"{when}: " + "; ".join([*facts, f"the bank holds {metrics.get('bank/size', 0):.0f} experiences."])
