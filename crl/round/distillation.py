"""The extractor at work on a run's bank: distilling finished episodes, merging entries."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext

from crl.concurrency import run_all
from crl.episode.situation import situation_of
from crl.extractor.distil import Distillation, distil
from crl.extractor.merge import merge
from crl.extractor.metrics import merge_metrics
from crl.round.commit import Progress
from crl.round.parts import Parts
from crl.types import Completion, Episode, OperationKind, Origin


class Distillery:
    """Applies what the extractor writes. The bank is written in one place: here, on the event loop."""

    def __init__(self, parts: Parts, progress: Progress) -> None:
        self.config, self.parts, self.progress = parts.config.extractor, parts, progress
        self._done: list[Distillation] = []

    def writes_in(self, round_: int) -> bool:
        """Whether the extractor still writes to the bank (`extractor.until_round`)."""
        return self.config.until_round is None or round_ < self.config.until_round

    def merge_is_due(self, round_: int) -> bool:
        every = self.config.merge.every_rounds
        return bool(every) and round_ > 0 and round_ % every == 0 and self.writes_in(round_)

    def worth_distilling(self, episodes: Iterable[Episode]) -> tuple[Episode, ...]:
        """Guided episodes, or all of them; none of a round in which nothing is written any more."""
        everything = self.config.distil.source == "all"
        return tuple(one for one in episodes if (everything or one.guided) and self.writes_in(one.key.round))

    async def distil(self, episodes: Sequence[Episode]) -> None:
        """Read those episodes that still wait, and apply the operations; in lockstep in the order of their keys.

        Called again after a failure, it goes on with what was not applied.
        """
        waiting = {episode.key for episode in self.progress.to_distil}
        ordered = sorted((one for one in episodes if one.key in waiting), key=lambda episode: episode.key)
        if self.parts.turnstile:
            done = await run_all(self._distil_one(episode) for episode in ordered)
            for episode, distillation in zip(ordered, done, strict=True):
                self._apply(episode, distillation)
        else:
            await run_all(self._distil_and_apply(episode) for episode in ordered)

    @property
    def has_news(self) -> bool:
        """Whether anything was distilled since the last `drain`."""
        return bool(self._done)

    def drain(self) -> list[Distillation]:
        """What was distilled since the last call: in async that is partly the round before's."""
        done, self._done = self._done, []
        return done

    async def _distil_and_apply(self, episode: Episode) -> None:
        self._apply(episode, await self._distil_one(episode))

    async def _distil_one(self, episode: Episode) -> Distillation:
        parts = self.parts
        with parts.turnstile.participant() if parts.turnstile else nullcontext():
            return await distil(
                episode, engine=parts.extractor.engine, chat=parts.extractor.chat, config=parts.config,
                run_id=parts.run_id,
            )  # fmt: skip

    def _apply(self, episode: Episode, distillation: Distillation) -> None:
        """Write the operations to the bank; the episode then no longer waits. No await: it happens whole.

        The bank, which may fail and takes the same operations once, comes before the charge for a refused reply.
        """
        parts, completion, round_ = self.parts, distillation.completion, episode.key.round
        operations = [operation for operation in distillation.operations if operation.kind is not OperationKind.RETURN]
        if operations:
            report = parts.bank.apply(
                operations, scope=parts.bank.scope_of(episode.task.name), key_text=situation_of(episode),
                origin=Origin(completion.id, str(episode.key), round_, "distil"), completion=completion,
            )  # fmt: skip
            if self.config.probe_pairs:
                self.progress.written |= dict.fromkeys(report.added, episode.task)
        if completion is not None and parts.guard is not None:
            parts.guard.observe(completion.version, valid=distillation.refusal is None)
        if distillation.refusal is not None and completion is not None:
            self._charge(completion, round_)
        self.progress.to_distil = tuple(waiting for waiting in self.progress.to_distil if waiting.key != episode.key)
        self._done.append(distillation)

    def _charge(self, completion: Completion, round_: int) -> None:
        """The cost of an invalid reply, where one is set."""
        if self.config.invalid_reward is not None and self.parts.learns_from(completion.version):
            self.parts.buffer.credit(completion, self.config.invalid_reward, round_)

    async def merge(self, round_: int) -> dict[str, float]:
        """Fold over a snapshot of each scope, less what is spared; a chunk whose parents changed meanwhile is dropped alone."""
        parts, results, conflicts = self.parts, [], 0
        spared = parts.bank.memory.helpful(self.config.merge.spare)
        for scope in sorted({entry.task for entry in parts.bank.entries()}):
            with parts.turnstile.participant() if parts.turnstile else nullcontext():
                result = await merge(
                    scope, [entry for entry in parts.bank.entries(scope) if entry.id not in spared],
                    engine=parts.extractor.engine, chat=parts.extractor.chat, config=parts.config, run_id=parts.run_id,
                    round=round_,
                )  # fmt: skip
            for call in result.calls:
                if call.refusal is not None and call.completion is not None:
                    self._charge(call.completion, round_)
            conflicts += sum(parts.bank.merge(chunk, round=round_).conflict for chunk in result.chunks)
            results.append(result)
        return merge_metrics(results) | {"merge/conflicts": float(conflicts), "merge/spared": float(len(spared))}
