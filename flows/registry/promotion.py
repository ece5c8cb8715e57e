"""Promotion: what the evaluation does with its figures, and what a person does by hand.

python -m flows.registry.promotion status               the champion, the former ones, what was decided about the others
python -m flows.registry.promotion rollback             actor, extractor and bank back to the former champion, at once
python -m flows.registry.promotion promote VERSION      make a version the champion without a comparison
python -m flows.registry.promotion decide               compare the last evaluation again, after the registry was down
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from crl.config import load
from crl.episode.tally import SILENT
from crl.errors import DataError, named
from crl.evaluation.statistics import EpisodeRow
from crl.files import read_json
from crl.tasks.sets import TaskSets
from flows.local.command import command, tell
from flows.prefect.entry import PARAMS, console
from flows.registry import agents, contest
from flows.registry.champion import Champions
from flows.registry.decision import Decision
from flows.stage import lineage
from flows.stage.paths import EVALUATION_EPISODES, MIX
from flows.tracking.model_versions import DECISION_TAG
from flows.tracking.recording import Tracker, tracking_page, tracking_uri
from flows.tracking.replay import FAULTS
from flows.tracking.sender import shown


def decide(params: Path = PARAMS) -> Decision:
    """Compare the last evaluation of this checkout again."""
    config, body = load(params), read_json(EVALUATION_EPISODES)
    pipeline = lineage.of_params(config)
    if pipeline is None or body["agent"] != agents.published_agent(lineage.of_stage(config, "evaluate")).id:
        raise DataError(
            f"{EVALUATION_EPISODES}: of another agent than models/ and bank/. Remedy: `dvc repro --force evaluate`"
        )
    tracker = Tracker()
    record = tracker.open_stage(pipeline, "evaluate")
    try:
        tasks = TaskSets.read(MIX, config.tasks.mix).evaluation
        return contest.settle(config, tasks, [EpisodeRow(**row) for row in body["rows"]], record, SILENT)
    finally:
        record.close("FINISHED")
        tracker.close()


def status(champions: Champions) -> list[str]:
    """Lines for people: the champions, then each version with what is known of it."""
    line = champions.repaired()
    lines = [f"champion: version {line[-1]}" if line else "champion: none", f"line: {' '.join(map(str, line)) or '-'}"]
    for version in champions.versions():
        tags = version.tags
        parts = f"{tags.get('crl.profile')} {tags.get(lineage.LINEAGE_TAG)} round {tags.get('crl.round')}"
        files = "with files" if tags.get(agents.FILES_TAG) == "true" else "by reference"
        lines.append(f"{version.version:>6}  {parts}, {files}  {tags.get('crl.decision', 'not evaluated')}")
    return lines


@command("`status` tells what was done")
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m flows.registry.promotion", description="The champion: look, move, roll back."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("status", help="the champion, the former ones, what was decided about the others")
    commands.add_parser("rollback", help="back to the former champion: actor, extractor and bank at once")
    promote = commands.add_parser("promote", help="make a version the champion without a comparison")
    promote.add_argument("version", type=int)
    again = commands.add_parser("decide", help="compare the last evaluation again, after the registry was down")
    again.add_argument("--params", type=Path, default=PARAMS)
    asked = parser.parse_args(arguments)
    try:
        champions = Champions(tracking_uri())
        match asked.command:
            case "rollback":
                console.print(f"champion: version {champions.rollback()}")
            case "promote":
                line = champions.repaired()
                champions.promote(asked.version, over=line[-1] if line else None)
                tags = {DECISION_TAG: "promoted", f"{DECISION_TAG}.reason": "By hand."}
                champions.note(asked.version, tags, "By hand.")
                console.print(f"champion: version {asked.version}")
            case "decide":
                decision = decide(asked.params)
                console.print(decision.markdown(), markup=False)
                return 1 if decision.verdict == "postponed" else 0
            case _:
                console.print("\n".join(status(champions)), markup=False, highlight=False)
    except FAULTS as error:
        if named(error):
            raise
        remedy = f"Remedy: see whether the registry answers at {tracking_page()}, then give the same command again"
        tell(error, f"{shown(error)}. {remedy}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
