"""The contest: the agent that was just evaluated against the registry's champion.

A comparison needs both sides' episodes on the same levels under the same conditions. The champion's are stored with its
version; they are used when levels, seeds, settings and code are what they were, since playing again would give the same. Else the
champion is played again, as it was trained, on the levels and seeds of this evaluation.

Importing this imports MLflow (2 s).
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities.model_registry import ModelVersion

from crl.actor.gate import success_records
from crl.config import Config, from_mapping
from crl.embedding.open import open_embedder
from crl.episode.tally import Progress, Tally
from crl.errors import CrlError, DataError
from crl.evaluation.bank_contest import guided_by
from crl.evaluation.code import code_that_plays
from crl.evaluation.held_out import FREE, GUIDED, Candidate, evaluate, rows_of
from crl.evaluation.paired import paired
from crl.evaluation.statistics import EpisodeRow
from crl.files import read_json, write_json
from crl.tasks.sets import levels_digest
from crl.types import Task
from flows.registry import agents
from flows.registry.champion import ROLLED_BACK, Champions
from flows.registry.decision import Decision, compare, judged, refused_untested, unlike, with_bank
from flows.stage import lineage
from flows.stage.paths import EVALUATION_EPISODES, MODELS
from flows.tracking.database import client_of
from flows.tracking.model_versions import DECISION_TAG
from flows.tracking.recording import tracking_uri
from flows.tracking.replay import FAULTS
from flows.tracking.sender import shown
from flows.tracking.stage_record import StageRecord

BASE_ACTOR = "the base actor"
_WAIT_S = 600.0  # only while the tracker answers: weights may be large
PATIENCE_S = 30.0  # with a registry that fails: one request too slow is no reason to postpone a decision
_DECIDING = "deciding"


def conditions_of(config: Config, tasks: Sequence[Task]) -> dict[str, str]:
    """What an agent's episodes depend on besides the agent, as digests: the levels; seeds, settings and code. Where both are
    equal, stored episodes stand for new ones."""
    rules = config.evaluate
    settings = {
        "seed": config.run.seed, "device": config.run.device, "engine": config.engine.kind,
        "episodes_per_level": rules.episodes_per_level, "temperature": rules.temperature,
        "sandbox": config.envs.sandbox.model_dump(mode="json"), "code": code_that_plays(config, tasks, guided=True),
    }  # fmt: skip
    return {"held_out": levels_digest(tasks), "settings": _digest(settings)}


def settle(
    config: Config, tasks: Sequence[Task], rows: Iterable[EpisodeRow], record: StageRecord, progress: Progress
) -> Decision:
    """Register the evaluated agent with its episodes, compare it with the champion, and promote it if it passes.

    Without a champion the base actor is the opponent. Never raises for the registry or the champion's sake: what could not
    be decided is postponed, with the reason.
    """
    rows, conditions = list(rows), conditions_of(config, tasks)
    stored = {**conditions, "rows": [asdict(row) for row in rows if row.phase == "after"]}
    agent = agents.published(record, config, lineage.of_stage(config, "evaluate"), evaluation=stored)
    write_json(EVALUATION_EPISODES, {"agent": agent.id, "rows": [asdict(row) for row in rows]})
    try:
        if not record.tracker.delivered(_WAIT_S, PATIENCE_S):
            raise DataError(f"MLflow takes no records ({record.tracker.failing or 'the delivery ended'})")
        decision = _decide(Champions(tracking_uri()), agent.id, config, tasks, conditions, rows, progress)
    except (*FAULTS, CrlError) as error:
        remedy = "Remedy: `python -m flows.registry.promotion decide` when it is mended"
        decision = Decision("postponed", f"{shown(error)}. {remedy}", "not compared")
    record.tag(decision.tags())
    record.metrics(decision.metrics())
    return decision


def _decide(
    champions: Champions, agent_id: str, config: Config, tasks: Sequence[Task], conditions: dict[str, str],
    rows: list[EpisodeRow], progress: Progress,
) -> Decision:  # fmt: skip
    found, champion = champions.find(agent_id), champions.champion()
    if found is None:
        raise DataError(
            "the registry refused the version, see runs/spool/refused.jsonl; `python -m flows.tracking.recording drain --refused` "
            "sends it again"
        )
    version, opponent = int(found.version), f"version {champion.version}" if champion else BASE_ACTOR
    if champion is not None and int(champion.version) == version:
        if found.tags.get(DECISION_TAG) == _DECIDING:  # killed after the promotion
            champions.note(version, {DECISION_TAG: "promoted"})
        return Decision("unchanged", "It is the champion already.", opponent, version)
    if found.tags.get(DECISION_TAG) == ROLLED_BACK:
        reason = f"It was rolled back. Remedy: `python -m flows.registry.promotion promote {version}` if it should serve after all"
        return Decision("refused", reason, opponent, version)
    if champion is None:
        theirs, replayed = [row for row in rows if row.phase == "before"], None
    else:
        theirs, replayed = _episodes(champion, config, tasks, conditions, progress)
    ours = [row for row in rows if row.phase == "after"]
    decision = judged(compare(ours, theirs, config), version, opponent, replayed)
    if champion is not None and decision.verdict == "promoted":
        decision = _with_bank_tested(decision, found, champion, config, tasks, ours, progress)
    # The figures, the champion, the verdict: a kill in between is seen by the next evaluation.
    champions.note(version, decision.tags() | {DECISION_TAG: _DECIDING})
    if decision.verdict == "promoted":
        try:
            champions.promote(version, over=int(champion.version) if champion else None)
        except DataError as error:
            decision = replace(decision, verdict="postponed", reason=str(error))
    champions.note(version, decision.tags(), decision.reason)
    return decision


def _with_bank_tested(
    decision: Decision, candidate: ModelVersion, champion: ModelVersion, config: Config, tasks: Sequence[Task],
    rows: Sequence[EpisodeRow], progress: Progress,
) -> Decision:  # fmt: skip
    """A promotion after the candidate's bank was put to a test against the champion's, where that is required.

    The candidate's actor plays with the champion's bank; with its own it has just played: `rows`.
    """
    required = config.evaluate.champion.require_bank
    if required is None or candidate.tags.get(agents.BANK_TAG) == champion.tags.get(agents.BANK_TAG):
        return decision
    with TemporaryDirectory(prefix="crl-champion-", dir="runs") as scratch:
        found = [_fetch(champion, f"artifacts/{name}", scratch) for name in (agents.DESCRIPTION, "bank")]
        if None in found:
            raise DataError(
                f"version {champion.version} has no bank. Remedy: python -m flows.registry.promotion rollback"
            )
        trained, bank = from_mapping(read_json(found[0])["config"]), found[1]
        if reason := unlike(config, trained):
            return refused_untested(decision, reason, required)
        agent, label = Candidate("after", *(MODELS / role for role in agents.ROLES), bank), "champion's bank, guided"
        records = success_records((row.task, row.success) for row in rows if row.arm == FREE)
        played = guided_by({label: bank}, config, tasks, agent, open_embedder(config), records, progress)[label]
    own = [row for row in rows if row.arm == GUIDED]
    return with_bank(decision, paired(own, rows_of(played, GUIDED, "after"), config)[-1], required)


def _episodes(
    champion: ModelVersion, config: Config, tasks: Sequence[Task], conditions: dict[str, str], progress: Progress
) -> tuple[list[EpisodeRow], bool]:
    """The champion's episodes under these conditions: as they were stored, else played now (then True)."""
    with TemporaryDirectory(prefix="crl-champion-", dir="runs") as scratch:
        stored = _fetch(champion, f"artifacts/{agents.EVALUATION}", scratch)
        if stored is not None:
            body = read_json(stored)
            if {name: body[name] for name in conditions} == conditions:
                return [EpisodeRow(**row) for row in body["rows"]], False
        folder = _fetch(champion, "artifacts", scratch)
        if folder is None:
            raise DataError(
                f"version {champion.version} has no files. Remedy: python -m flows.registry.promotion rollback"
            )
        return _play(folder, config, tasks, progress), True


def _play(folder: Path, config: Config, tasks: Sequence[Task], progress: Progress) -> list[EpisodeRow]:
    trained = from_mapping(read_json(folder / agents.DESCRIPTION)["config"])
    agent = Candidate("before", *(folder / part for part in agents.PARTS))
    return list(evaluate(as_trained(config, trained), tasks, [agent], _OfTheChampion(progress)).rows)


class _OfTheChampion(Progress):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def follow(self, tally: Tally) -> None:
        tally.what = tally.place = f"champion, {tally.what.partition(', ')[2]}"
        self._progress.follow(tally)


def as_trained(present: Config, trained: Config) -> Config:
    """The present evaluation of an agent from another run: what belongs to the agent is as it was trained."""
    rollout = present.rollout.model_copy(update={"sampling": trained.rollout.sampling})
    envs = present.envs.model_copy(update={"observation": trained.envs.observation})
    bank = present.bank.model_copy(
        update={"scope": trained.bank.scope, "max_entry_chars": trained.bank.max_entry_chars}
    )
    of_the_agent = {name: getattr(trained, name) for name in ("models", "actor", "retrieval", "extractor")}
    return present.model_copy(update={**of_the_agent, "rollout": rollout, "envs": envs, "bank": bank})


def _fetch(version: ModelVersion, path: str, target: str) -> Path | None:
    """A version's file or folder, None where it has none."""
    client = client_of(tracking_uri())
    _, _, place = version.source.removeprefix("runs:/").partition("/")
    beside = client.list_artifacts(version.run_id, f"{place}/{path}".rpartition("/")[0])
    if f"{place}/{path}" not in {item.path for item in beside}:
        return None
    return Path(client.download_artifacts(version.run_id, f"{place}/{path}", target))


def _digest(value: object) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()
