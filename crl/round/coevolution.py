"""One round of co-evolution as plain method calls, for the flow and for benchmarks alike.

    rollouts (guided | free) ── account ── actor update
         └─ finished episodes ── distil ── bank ── credit ── extractor update

`lockstep` awaits everything in a fixed order before the round commits. `async` distils while episodes still run and carries both
updates into the next round's rollouts; what a round carries over is part of its checkpoint, so nothing that was played is lost and
nothing is trained twice. A checkpoint may be written beside the next rollouts: what it holds does not change until it is on disk.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from crl.bank.effect import uses_of
from crl.concurrency import run_all, task_group
from crl.config import Config
from crl.episode.many import play_all, stop_if_too_many_failed
from crl.episode.mix import Mix, counted
from crl.episode.plan import RoundPlan, Shard, plan_refill, plan_round
from crl.extractor.metrics import distil_metrics
from crl.round import accounting
from crl.round.background import Background
from crl.round.commit import Committed, Progress, reports, resume, take_down
from crl.round.credit import Credits
from crl.round.distillation import Distillery
from crl.round.hooks import PLAIN, Hooks, Unit
from crl.round.onlookers import Onlookers
from crl.round.parts import Parts, open_parts
from crl.round.probes import Probes, unprobed
from crl.round.refill import further_groups
from crl.round.report import RoundReport
from crl.round.shards import ShardsElsewhere, live_per_shard
from crl.round.state import open_state, run_inputs
from crl.round.updates import update_actor, update_extractor
from crl.spans import Spans
from crl.tasks.sets import TaskSets
from crl.types import Episode, EpisodeFailure


class CoEvolution:
    """The run. `open` resumes an unfinished one of the same parameters; `play_round` advances it."""

    def __init__(self, parts: Parts, tasks: TaskSets, progress: Progress, hooks: Hooks) -> None:
        self.config, self.parts, self.tasks, self.progress, self.hooks = parts.config, parts, tasks, progress, hooks
        self.distillery, self.credits = Distillery(parts, progress), Credits(parts, progress.memorised)
        self.probes = Probes(parts, progress)
        self.elsewhere = ShardsElsewhere(hooks.play_shard, parts) if hooks.play_shard else None
        self.onlookers = Onlookers(parts, hooks)
        self.background, self.spans = Background(), Spans()
        self.metrics: dict[str, float] = {}  # of the report that comes next: a merge may have run across a commit
        self.ends: list[Episode | EpisodeFailure] = []
        self._left_to_distil = progress.to_distil  # by an earlier process

    @classmethod
    def open(
        cls, config: Config, *, folder: Path, actor: Path, extractor: Path, tasks: TaskSets, hooks: Hooks = PLAIN
    ) -> "CoEvolution":
        """Open the run of these parameters, base models and task sets under `folder`, where it stopped."""
        inputs = run_inputs(actor, extractor, tasks.digest)
        parts = open_parts(config, open_state(folder, config, inputs), actor, extractor, hooks.start_crew)
        with parts.closed_if_it_fails():
            return cls(parts, tasks, resume(parts), hooks)

    @property
    def lineage(self) -> str:
        return self.parts.state.lineage

    @property
    def next_round(self) -> int:
        return self.progress.round + 1

    @property
    def current_round(self) -> int:
        """What updates and merges belong to: the round that is played; in `finish` the last one."""
        return min(self.next_round, self.rounds_total - 1)

    @property
    def rounds_total(self) -> int:
        return self.config.rounds.count

    @property
    def overlapping(self) -> bool:
        return self.config.run.schedule == "async"

    async def play_round(self, committed: Committed | None = None) -> RoundReport:
        """Play, account, learn, commit. Raises RunStopped past the failure budget, and what the inspection raises.

        The inspection of a round's episodes runs beside their distillation; nothing is updated from them before its
        verdict, and nothing is committed. The round is on disk when this returns. With `committed` it is written beside the next
        round's rollouts, and that is awaited once it is; an error of either is raised by whatever comes next: a round, `finish`.
        """
        plan, began = plan_round(self.config, self.tasks, self.next_round, self.progress.mix), time.perf_counter()
        plan = self.probes.put_into(plan)
        self.spans, self.ends = Spans(), []
        self._launch_carried()
        with self.onlookers.round(plan):
            plan = await self._roll_out(plan)
        with self.spans.on_path("checkpoint"):
            await self.on_disk()
        async with task_group() as beside:
            inspection = beside.create_task(self.hooks.inspect(plan.round, tuple(self.ends)))
            with self.spans.on_path("flush_wait"):
                await self._settle(plan)
            self._account(plan)
            if not self.overlapping:
                with self.spans.on_path("distil"):
                    await self.hooks.run_unit("distil-0", partial(self.distillery.distil, self.progress.to_distil))
            with self.spans.on_path("inspect"):
                await inspection
        if not self.overlapping:
            await self._update_in_order()
        elif self.config.learn.actor.max_staleness == 0:
            await self.hooks.run_unit("update-actor", self.update_actor)
        if self.distillery.merge_is_due(plan.round) and not self.background.running("merge"):
            await self._merge()
        return await self._commit(plan.round, began, committed)

    async def finish(self) -> RoundReport | None:
        """Do what the last round carried over, and commit it with a closing report; None: nothing was carried over.

        Called again it does nothing, and gives the same report.
        """
        await self.on_disk()
        if self.progress.closed:
            return next(report for report in reports(self.parts.state.path) if report.closing)
        began, self.spans, self.ends = time.perf_counter(), Spans(), []
        self._launch_carried()
        with self.spans.on_path("flush_wait"):
            await self._settle()
        if not (self.metrics or self.distillery.has_news):
            return None
        return await self._commit(self.progress.round, began, None, closing=True)

    async def on_disk(self) -> None:
        """Wait until the last round is on disk, and whoever was to be told of that has been."""
        await self.background.done("commit")

    async def close(self) -> None:
        await self.background.cancel()
        self.parts.close()

    # ------------------------------------------------------------------ units of work

    async def rollout(self, plan: RoundPlan, shard: Shard, joined: Callable[[], None] = lambda: None) -> int:
        """Play one shard; in async its episodes are distilled as soon as they end. Returns how many ended."""
        records = self.progress.records()
        if self.elsewhere:
            ends = await self.elsewhere.rollout(plan, shard, records)
            self.onlookers.arrived(ends)
        else:
            player = self.parts.player(plan, records, self.onlookers.now)
            ends = await play_all(player, shard.specs, live=live_per_shard(plan, self.config), joined=joined)
        self.ends += ends
        return len(ends)

    async def update_actor(self) -> None:
        """Train on the episodes that wait for it; the engine then samples from the new weights."""
        await self.on_disk()
        episodes, self.progress.for_actor = self.progress.for_actor, ()
        self.metrics |= await update_actor(self.parts, episodes, self.spans)

    async def update_extractor(self) -> None:
        """Train on a batch of credited completions, when there is one."""
        await self.on_disk()
        self.metrics |= await update_extractor(self.parts, self.current_round, self.spans)

    async def merge(self) -> None:
        """Consolidate the bank against a snapshot; each chunk applies on its own or is dropped as a conflict."""
        self.metrics |= await self.distillery.merge(self.current_round)

    # ------------------------------------------------------------------ inside a round

    async def _roll_out(self, plan: RoundPlan) -> RoundPlan:
        """Play the plan, and further groups as long as the round is to be refilled; returns all that was played."""
        began, busy = time.perf_counter(), self._busy_s()
        await self._play_shards(plan)
        while more := self._refill(plan):
            self.onlookers.expect(more)
            await self._play_shards(more)
            plan = replace(more, shards=plan.shards + more.shards)
        spent = {name: now - busy[name] for name, now in self._busy_s().items()}
        self.spans.split_rollout(spent, time.perf_counter() - began)
        return plan

    def _refill(self, plan: RoundPlan) -> RoundPlan | None:
        """The next wave of further groups; None: enough has been played. An actor that does not learn needs no signal."""
        played = len({spec.key.group for spec in plan.specs})
        groups = further_groups(self.config.rollout, played, self._episodes()) if plan.actor_learns else 0
        return plan_refill(self.config, self.tasks, plan, self.progress.mix, groups) if groups else None

    def _episodes(self) -> list[Episode]:
        """The round's finished episodes, in the order of their keys."""
        return sorted((end for end in self.ends if isinstance(end, Episode)), key=lambda episode: episode.key)

    async def _play_shards(self, plan: RoundPlan) -> None:
        # Lockstep: the gate stays shut until the workers of every shard take part, however late its task starts.
        turnstile = self.parts.turnstile
        holds = [turnstile.hold() if turnstile else (lambda: None) for _ in plan.shards]

        async def play(shard: Shard, release: Callable[[], None]) -> None:
            try:
                play_it = partial(self.rollout, plan, shard, release)
                await (play_it() if self.elsewhere else self.hooks.run_unit(shard.name, play_it))
            finally:
                release()
            if self.overlapping:
                self._distil_in_background(plan, shard)

        await run_all(play(shard, release) for shard, release in zip(plan.shards, holds, strict=True))
        stop_if_too_many_failed(self.ends, self.config.rollout.max_failed_share)

    def _busy_s(self) -> dict[str, float]:
        """Seconds so far in what a rollout waits for, wherever it is played."""
        here = self.parts.busy_s()
        return {name: here[name] + self.elsewhere.busy_s[name] for name in here} if self.elsewhere else here

    async def _settle(self, plan: RoundPlan | None = None) -> None:
        """Wait, within a deadline, for the updates and for the distillations of rounds before this one."""
        this_round = f"distil-r{plan.round}-" if plan else "none"
        await self.background.settle(self.config.rounds.background_wait_s, unless=this_round)

    def _account(self, plan: RoundPlan) -> None:
        """Credit completions, record measured effects, and hand the episodes to whoever learns from them."""
        episodes = self._episodes()
        self.metrics |= accounting.rollout_metrics(self.ends)
        self.metrics |= self.probes.measure(episodes)
        by_situation = unprobed(episodes, self.probes.now)
        self.parts.bank.record_uses(uses_of(by_situation))
        self.metrics |= self.credits.give(by_situation, plan.round)
        self.parts.bank.retire(round=plan.round)
        self.progress.record_success(episodes)
        self.parts.remember(episodes)
        tallies = counted(self.progress.mix.tallies, by_situation, guided=not plan.warming_up)
        self.progress.mix = Mix(tallies, dict(plan.owed))
        if plan.actor_learns:
            self.progress.for_actor = tuple(episodes)
        if not self.overlapping:
            self.progress.to_distil = self.distillery.worth_distilling(episodes)

    async def _update_in_order(self) -> None:
        with self.spans.on_path("actor_update"):
            await self.hooks.run_unit("update-actor", self.update_actor)
        with self.spans.on_path("extractor_update"):
            await self.hooks.run_unit("update-extractor", self.update_extractor)

    async def _commit(
        self, round_: int, began: float, committed: Committed | None, closing: bool = False
    ) -> RoundReport:
        with self.spans.on_path("checkpoint"):
            self.background.collect()
            self.progress.round, self.progress.closed = round_, closing
            taken = take_down(self.parts, self.progress, self.spans, partial(self._report, round_, began, closing))
        self._start("commit", partial(taken.write, lambda seconds: self.spans.add("checkpoint", seconds), committed))
        if committed is None:
            await self.on_disk()
        return taken.report

    def _report(self, round_: int, began: float, closing: bool) -> RoundReport:
        self.spans.charge()
        # Background work may end between two rounds: its metrics belong to the next report, none is lost.
        metrics, self.metrics = self.metrics, {}
        distilled = self.distillery.drain()
        metrics |= distil_metrics(distilled) | self.parts.bank.metrics()
        retrieved = self.parts.retriever.metrics()
        metrics |= self.elsewhere.metrics(retrieved) if self.elsewhere else retrieved
        metrics |= self.spans.metrics() | {"time/round_s": time.perf_counter() - began}
        spans = {distillation.episode: distillation.span for distillation in distilled}
        return accounting.report(self.parts, round_ + closing, self.ends, metrics, spans, closing=closing)

    # ------------------------------------------------------------------ beside the critical path

    def _launch_carried(self) -> None:
        """Start what the last commit carried over: both updates, and distillations that were not done."""
        if self.progress.for_actor:
            self._start("update-actor", self.update_actor)
        if self.overlapping and (self.parts.buffer.ready or self.parts.guard is not None):
            self._start("update-extractor", self.update_extractor)
        if self._left_to_distil:
            self._start("distil-carried", partial(self.distillery.distil, self._left_to_distil))
            self._left_to_distil = ()

    def _distil_in_background(self, plan: RoundPlan, shard: Shard) -> None:
        keys = {spec.key for spec in shard.specs}
        episodes = [end for end in self.ends if isinstance(end, Episode) and end.key in keys]
        episodes = self.distillery.worth_distilling(episodes)
        self.progress.to_distil = (*self.progress.to_distil, *episodes)
        self._start(f"distil-r{plan.round}-{shard.name}", partial(self.distillery.distil, episodes))

    def _start(self, name: str, unit: Unit) -> None:
        self.background.start(name, self.hooks.run_unit(name, unit))

    async def _merge(self) -> None:
        if self.overlapping:
            self._start("merge", self.merge)
        else:
            with self.spans.on_path("merge"):
                await self.hooks.run_unit("merge", self.merge)
