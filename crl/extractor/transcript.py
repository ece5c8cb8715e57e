"""An episode as the extractor reads it: role-labelled lines, without the experience that was injected.

The extractor must judge what happened, not echo what it wrote before; so the injected text is removed even where the
actor quotes it. The terminal observation is included: it tells how the episode ended.
"""

from crl.types import Episode, TurnKind

# In place of a removed text. One character that no experience contains (`screening`), so no new occurrence can arise.
REMOVED = "\ufffd"


def transcript(episode: Episode, last_turns: int | None = None) -> str:
    """The last turns (None: all) and the terminal observation."""
    left_out = 0 if last_turns is None else max(0, len(episode.turns) - last_turns)
    lines = [f"(the first {left_out} turns are left out)"] if left_out else []
    asks = iter(episode.asks)  # one for each turn that asked, in order
    for number, turn in enumerate(episode.turns, 1):
        answer = next(asks).answer if turn.kind is TurnKind.ASK else None
        if number <= left_out:
            continue
        lines.append(f"environment [{number}]: {turn.observation.strip()}")
        lines.append(f"agent [{number}]: {turn.completion.text.strip()}")
        if answer is not None:
            lines.append(f"expert [{number}]: {answer.strip()}")
    if episode.final_observation:
        lines.append(f"environment [end]: {episode.final_observation.strip()}")
    return without("\n".join(lines), injected(episode))


def without(text: str, removed: tuple[str, ...]) -> str:
    """The text with every occurrence of the removed ones replaced; longer ones first, as one may contain another."""
    for part in sorted(filter(None, removed), key=len, reverse=True):
        text = text.replace(part, REMOVED)
    return text


def injected(episode: Episode) -> tuple[str, ...]:
    guidance = episode.guidance
    if guidance is None or guidance.shown is None:
        return ()
    # Several experiences are shown as one numbered text; the actor may quote one of them.
    return (guidance.shown, *guidance.retrieved)
