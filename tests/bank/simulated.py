"""A bank's life in which the true effects are known: levels, a control half, and Thompson's choice of who is shown."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from crl.bank.effect import Use
from crl.bank.posterior import Posterior, Subject, estimate
from crl.seeding import stream


@dataclass(frozen=True)
class World:
    entries: int = 120
    clusters: int = 30
    mean: float = 0.03
    cluster_sd: float = 0.12
    entry_sd: float = 0.06
    base: tuple[float, float] = (0.35, 0.65)  # of a level's success without experience
    rounds: int = 24
    groups: int = 12
    guided: int = 4
    candidates: int = 16
    explore: float = 0.1
    half_life_rounds: float | None = None
    drift: float = 0.0  # share of an effect's deviation from the mean that is drawn anew each round


@dataclass(frozen=True)
class Life:
    subjects: list[Subject]
    effects: np.ndarray  # [N], the true ones at the end
    uses: list[Use]
    posterior: Posterior


def lived(world: World, seed: int) -> Life:
    """Entries arrive during the first half; each group draws its candidates, each guided member its Thompson sample."""
    rng = stream(seed, "simulated-bank")
    cluster = np.arange(world.entries) % world.clusters
    spreads = np.array([world.cluster_sd, world.entry_sd])[:, None]
    own = np.stack([rng.normal(size=world.clusters)[cluster], rng.normal(size=world.entries)])  # in standard deviations
    born = np.sort(rng.integers(0, world.rounds // 2, world.entries))
    born[: world.candidates] = 0
    subjects = [Subject(f"{row:04d}", "maze", int(cluster[row])) for row in range(world.entries)]
    uses: list[Use] = []
    for round_ in range(world.rounds):
        effects = world.mean + (own * spreads).sum(axis=0)
        posterior = estimate(subjects, uses, round=round_, half_life_rounds=world.half_life_rounds)
        beliefs = np.array([posterior.beliefs[subject.id] for subject in subjects])
        for group in range(world.groups):
            near = rng.permutation(np.flatnonzero(born <= round_))[: world.candidates]
            drawn = rng.normal(beliefs[near, 0], beliefs[near, 1], (world.guided, len(near))).argmax(axis=1)
            exploring = rng.random(world.guided) < world.explore
            chosen = near[np.where(exploring, rng.integers(0, len(near), world.guided), drawn)]
            base = rng.uniform(*world.base)
            won = rng.random(world.guided) < base + effects[chosen]
            free = int(rng.binomial(4, base))
            tally = defaultdict(list)
            for row, success in zip(chosen, won, strict=True):
                tally[row].append(bool(success))
            uses += [Use(subjects[row].id, round_, group, len(wins), sum(wins), 4, free) for row, wins in tally.items()]
        fresh = np.stack([rng.normal(size=world.clusters)[cluster], rng.normal(size=world.entries)])
        own = np.sqrt(1 - world.drift) * own + np.sqrt(world.drift) * fresh
    final = estimate(subjects, uses, round=world.rounds - 1, half_life_rounds=world.half_life_rounds)
    return Life(subjects, effects, uses, final)
