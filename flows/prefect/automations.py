"""What the Prefect server does about runs that ended without a word: killed processes, machines that went away.

    python -m flows.prefect.automations apply [--silent-s 120] [--cancelling-s 300]
    python -m flows.prefect.automations status

A worker reports a flow process that dies; nobody reports when worker and flow are gone together, or for a stage of `make run`.
Runs that carry the tag `crl` send a heartbeat every 30 s (the shortest that Prefect knows); other teams' runs are left alone.
"""

import asyncio
import sys
from datetime import timedelta
from typing import Annotated, Literal

import typer
from prefect import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from crl.cli.values import finite
from crl.doctor.slots import OURS
from flows.local import prefect_server
from flows.local.command import command

TAG = OURS
SILENT_S = 120.0  # a run sends a heartbeat every 30 s: three may be lost on the way
CANCELLING_S = 300.0  # a worker gives a cancelled run 30 s before it kills it
SHORTEST_S = 10.0  # Prefect's, for triggers that wait for something
_ENDS = {f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Cancelled", "Crashed")}
# These have no process that could send a heartbeat.
_RESTS = {f"prefect.flow-run.{name}" for name in ("Paused", "Suspended", "AwaitingRetry", "Scheduled", "Late")}


def automations(silent_s: float = SILENT_S, cancelling_s: float = CANCELLING_S) -> list[AutomationCore]:
    """Those of this repository."""
    beat, cancelling = "prefect.flow-run.heartbeat", "prefect.flow-run.Cancelling"
    lost = f"no heartbeat for {silent_s:g} s: its process is gone"
    stuck = f"no worker ended it within {cancelling_s:g} s"
    return [
        _change_unless(
            {beat} | _ENDS | _RESTS, {beat}, silent_s, "crl: silent runs are crashed", StateType.CRASHED, lost
        ),
        _change_unless(_ENDS, {cancelling}, cancelling_s, "crl: cancelled runs end", StateType.CANCELLED, stuck),
    ]


def _change_unless(
    expect: set[str], after: set[str], within_s: float, name: str, state: StateType, message: str
) -> AutomationCore:
    """Changes the state of each of our runs in which none of `expect` follows `after` in time."""
    trigger = EventTrigger(
        posture=Posture.Proactive,
        after=after,
        expect=expect,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"},
        for_each={"prefect.resource.id"},
        threshold=1,
        within=timedelta(seconds=within_s),
    )
    change = ChangeFlowRunState(state=state, message=message)
    return AutomationCore(name=name, description=message, trigger=trigger, actions=[change])


Outcome = Literal["created", "updated", "unchanged"]


async def apply(wanted: list[AutomationCore], *, keep: bool = False) -> dict[str, Outcome]:
    """Bring the server's automations to these, by name. `keep` leaves those that exist as a team has set them."""
    outcomes: dict[str, Outcome] = {}
    async with get_client() as client:
        for automation in wanted:
            known = await client.read_automations_by_name(automation.name)
            if not known:
                await client.create_automation(automation)
                outcomes[automation.name] = "created"
            elif keep or _content(known[0]) == _content(automation):
                outcomes[automation.name] = "unchanged"
            else:
                await client.update_automation(known[0].id, automation)
                outcomes[automation.name] = "updated"
            for double in [] if keep else known[1:]:  # two first runs at once
                await client.delete_automation(double.id)
    return outcomes


def _content(automation: AutomationCore) -> dict[str, object]:
    """What is compared: sets stay sets, whose order is no change."""
    return AutomationCore(**automation.model_dump(exclude={"id"})).model_dump()


async def states(names: list[str]) -> dict[str, str]:
    """Of the server's automations by name: missing, on or off."""
    async with get_client() as client:
        known = {name: await client.read_automations_by_name(name) for name in names}
    return {name: "missing" if not found else "on" if found[0].enabled else "off" for name, found in known.items()}


app = typer.Typer(add_completion=False, help=__doc__.partition("\n")[0])


@app.command("apply")
def apply_here(
    silent_s: Annotated[float, typer.Option(min=SHORTEST_S, help="without a heartbeat", callback=finite)] = SILENT_S,
    cancelling_s: Annotated[float, typer.Option(min=SHORTEST_S, help="in Cancelling", callback=finite)] = CANCELLING_S,
) -> None:
    """Create or update them; a repeat changes nothing."""
    with prefect_server.running():
        for name, outcome in asyncio.run(apply(automations(silent_s, cancelling_s))).items():
            typer.echo(f"{outcome:10} {name}")


@app.command()
def status() -> None:
    """Which of them the server has."""
    with prefect_server.running():
        found = asyncio.run(states([automation.name for automation in automations()]))
    for name, state in found.items():
        typer.echo(f"{state:8} {name}")
    raise typer.Exit(0 if set(found.values()) == {"on"} else 1)


if __name__ == "__main__":
    sys.exit(command("the same command does the rest")(app)())
