"""What every stage's entry point does: check the parameters, find a Prefect server, run the flow."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from prefect import Flow, runtime, tags

from crl.config import load
from flows.local import prefect_server, stops
from flows.local.command import command, console
from flows.prefect import automations
from flows.stage import lineage
from flows.stage.params import refuse_a_name_alone

__all__ = ["PARAMS", "console", "main", "run_name"]
PARAMS = Path("params.yaml")


def main(flow: Flow[..., Any]) -> None:
    """The command `python -m flows.<stage>`."""
    parser = argparse.ArgumentParser(prog=f"python -m flows.{flow.name}", description=flow.description)
    parser.add_argument("--params", type=Path, default=PARAMS, help="parameter file (default: params.yaml)")
    if "entry" in flow.parameters.properties:
        parser.add_argument("--entry", help="one entry of tasks.mix (default: all)")
    sys.exit(_run_stage(flow, vars(parser.parse_args())))


@command()
def _run_stage(flow: Flow[..., Any], arguments: dict[str, Any]) -> None:
    load(arguments["params"])  # refused here, before anything starts
    refuse_a_name_alone(arguments["params"])
    with prefect_server.running() as api, tags(*run_tags()):
        stops.run(_run(flow, arguments, watched=api is not None))


async def _run(flow: Flow[..., Any], arguments: dict[str, Any], *, watched: bool) -> None:
    """Run the flow; a server that stays is told first to look after runs that are killed."""
    if watched:
        await automations.apply(automations.automations(), keep=True)
    await flow(**arguments)


def run_tags() -> list[str]:
    """Prefect tags of the stage's flow run: ours, and which run of the flow `pipeline` started it, if one did."""
    pipeline = os.environ.get("CRL_PIPELINE_FLOW_RUN")
    return [automations.TAG, *([f"pipeline:{pipeline}"] if pipeline else [])]


def run_name() -> str:
    """Name of a stage's flow run: stage, profile, and the lineage (before that is known, the pipeline run)."""
    stage, parameters = runtime.flow_run.flow_name, runtime.flow_run.parameters
    config, entry = load(parameters["params"]), parameters.get("entry")
    label = f"{stage}@{entry}" if entry else stage
    return f"{label} {config.profile} {lineage.of_stage(config, stage) or lineage.join(config, label).id}"
