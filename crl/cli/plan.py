"""`crl plan`: memory, seconds and money of a round, from parameters alone."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from crl.cli.values import finite
from crl.config.compose import chosen
from crl.plan.hardware import GPUS, Utilisation
from crl.plan.layout import Cluster
from crl.plan.memory import GIB
from crl.plan.plan import Plan, make_plan
from crl.plan.work import Habits

app = typer.Typer(add_completion=False)
console = Console()
_HABITS, _USE = Habits(), Utilisation()
GpuName = StrEnum("GpuName", {name: name for name in GPUS})


def _share(of: str) -> Any:
    return typer.Option(min=0.001, max=1, callback=finite, help=of)


@app.command()
def plan(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="changes to the profile")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="profile in conf/profile; without it params.yaml")] = None,
    params: Annotated[Path, typer.Option(help="parameter file")] = Path("params.yaml"),
    gpu: Annotated[GpuName, typer.Option(case_sensitive=False)] = GpuName.h100,
    gpus: Annotated[int, typer.Option(min=1, help="GPUs per node")] = 1,
    nodes: Annotated[int, typer.Option(min=1)] = 1,
    trainers: Annotated[int, typer.Option(min=1, help="GPUs that share the learners by FSDP")] = 1,
    turns: Annotated[
        float | None, typer.Option(min=1, callback=finite, help="mean turns of an episode; default 0.6 of max_steps")
    ] = None,
    turn_tokens: Annotated[
        int, typer.Option(min=1, help="mean tokens that the actor says in a turn")
    ] = _HABITS.turn_tokens,
    observation_tokens: Annotated[
        int, typer.Option(min=0, help="mean tokens of an observation")
    ] = _HABITS.observation_tokens,
    opening_tokens: Annotated[
        int, typer.Option(min=1, help="tokens of an episode's first prompt")
    ] = _HABITS.opening_tokens,
    distil_tokens: Annotated[
        int, typer.Option(min=1, help="mean tokens of a distillation's reply")
    ] = _HABITS.distil_tokens,
    training_share: Annotated[float, _share("of peak flops, training")] = _USE.training,
    prefill_share: Annotated[float, _share("of peak flops, prompts")] = _USE.prefill,
    decode_share: Annotated[float, _share("of memory bandwidth, generation")] = _USE.decode,
    price: Annotated[float | None, typer.Option(min=0, callback=finite, help="money per GPU and hour")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Memory and time per round, before the first costly second. Loads and downloads nothing.

    Sizes are formulas (docs/scale.md); seconds rest on the assumed habits and shares, which are options.
    """
    config = chosen(profile, params, overrides or ())
    habits = Habits(turns, turn_tokens, observation_tokens, opening_tokens, distil_tokens)
    use = Utilisation(training_share, prefill_share, decode_share)
    cluster = Cluster(GPUS[gpu], gpus, nodes, trainers)
    made = make_plan(config, cluster, habits=habits, use=use, price_per_gpu_hour=price)
    if as_json:
        typer.echo(json.dumps(asdict(made) | {"tokens_per_round": made.tokens_per_round}, indent=2))
        return
    _print(made, cluster, habits, use)


def _print(made: Plan, cluster: Cluster, habits: Habits, use: Utilisation) -> None:
    console.print(_memory_table(made, cluster))
    console.print(_time_table(made))
    console.print(
        f"[dim]assumed: {habits.turn_tokens} tokens said and {habits.observation_tokens} observed in each of {made.work.turns:.0f} "
        f"turns, {habits.distil_tokens} distilled; {use.training:.0%} of peak in training, {use.prefill:.0%} in prompts, "
        f"{use.decode:.0%} of bandwidth in generation; environments' own time is not counted[/]"
    )
    for warning in made.warnings:
        console.print(f"[bold yellow]warning[/]: {warning}", highlight=False)


def _memory_table(made: Plan, cluster: Cluster) -> Table:
    title = f"memory per GPU, {cluster.total} x {cluster.gpu.name}"
    table = Table("where", "GPUs", "what", "GiB", "of that", title=title, box=None, title_justify="left")
    for place in made.places:
        for part in place.parts:
            detail = ", ".join(f"{name} {size / GIB:.1f}" for name, size in part.bytes.items())
            size = made.shapes[part.role].parameters / 1e9 if part.role in made.shapes else None
            what = f"{part.role} {part.purpose}" + (f" ({made.shapes[part.role].name}, {size:.2f} B)" if size else "")
            table.add_row(place.name, str(place.gpus), what, f"{part.total / GIB:.1f}", detail)
        whole = f"{place.bytes_per_gpu / GIB:.1f}"
        table.add_row("", "", "[bold]together[/]", f"[bold]{whole}[/]", f"of {cluster.gpu.memory / GIB:.1f}")
    return table


def _time_table(made: Plan) -> Table:
    table = Table("phase", "seconds", "tokens", title="one round", box=None, title_justify="left")
    work = made.work
    tokens = {
        "generate": work.actor.generated, "distil": work.extractor.generated, "actor_update": work.actor.trained,
        "extractor_update": work.extractor.trained,
    }  # fmt: skip
    for phase, seconds in made.seconds.items():
        table.add_row(phase, f"{seconds:,.1f}", f"{tokens[phase]:,.0f}" if phase in tokens else "")
    table.add_row("[bold]round[/]", f"[bold]{made.round_s:,.1f}[/]", f"{work.episodes} episodes")
    price = "" if made.price is None else f", price {made.price:,.0f}"
    table.add_row("run", f"{made.run_hours:,.1f} h", f"{made.gpu_hours:,.0f} GPU hours{price}")
    return table
