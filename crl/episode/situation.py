"""The situation of an episode, as text."""

from crl.types import Episode


def situation(goal: str, text: str) -> str:
    """What experiences are retrieved by and stored under: the goal and the first observation, as text."""
    return f"{goal}\n{text}".strip()


def situation_of(episode: Episode) -> str:
    """What an episode's experiences are stored under: the situation that it was retrieved by, or began with."""
    if episode.guidance is not None:
        return episode.guidance.query
    return situation(episode.goal, episode.turns[0].observation if episode.turns else "")
