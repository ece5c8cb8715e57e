"""The `crl` command. Each command imports what it needs when it runs, so that `crl --help` is instant."""

import importlib
from pathlib import Path
from typing import ClassVar

import typer
from rich.console import Console
from rich.table import Table

from crl.errors import named

console = Console()


class _LazyGroup(typer.core.TyperGroup):
    """Loads the sub-applications only when they are called or listed."""

    parts: ClassVar[dict[str, str]] = {
        "bank": "crl.cli.bank",
        "compare": "crl.cli.compare",
        "doctor": "crl.cli.doctor",
        "envs": "crl.cli.envs",
        "models": "crl.cli.models",
        "plan": "crl.cli.plan",
        "play": "crl.cli.play",
        "publish": "crl.cli.publish",
        "watch": "crl.cli.watch",
    }

    def list_commands(self, ctx):
        return [*super().list_commands(ctx), *self.parts]

    def get_command(self, ctx, name):
        if name in self.parts:
            command = typer.main.get_command(importlib.import_module(self.parts[name]).app)
            command.name = name  # a group has none of its own, and would be listed without
            return command
        return super().get_command(ctx, name)

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            Console(stderr=True).print("interrupted; nothing runs on")
            raise typer.Exit(130) from None
        except Exception as error:
            if (fault := named(error)) is None:
                raise
            told = Console(stderr=True)
            told.print(f"[bold red]{type(fault).__name__}[/]")
            told.print(str(fault), markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    help="Complementary RL: a policy and an experience extractor that train each other.",
)


@app.callback()
def _main() -> None:
    pass


@app.command()
def check(
    overrides: list[str] = typer.Argument(None, metavar="[KEY=VALUE]...", help="changes to the profile"),
    profile: str = typer.Option(None, help="profile in conf/profile; without it params.yaml is checked"),
    params: Path = typer.Option(Path("params.yaml"), help="parameter file"),
    fields: bool = typer.Option(False, "--fields", help="list every field with its meaning"),
) -> None:
    """Validate a profile or parameter file without loading a model."""
    from crl.config.compose import chosen
    from crl.models.context import check_named_context
    from crl.models.shelf import refuse_addresses

    if fields:
        return _print_fields()
    config = chosen(profile, params, overrides or ())
    for role, model in (("actor", config.models.actor), ("extractor", config.models.extractor)):
        if not Path(model.source).is_dir():
            refuse_addresses(model.source)
        check_named_context(role, model.source, model.context_tokens)
    rollout = config.rollout
    episodes, most = rollout.groups * rollout.group_size, rollout.most_groups * rollout.group_size
    size = f"{episodes}" if most == episodes else f"{episodes} to {most}"
    console.print(
        f"[green]valid[/]: profile {config.profile}, {', '.join(config.tasks.mix)}; {config.rounds.count} rounds of "
        f"{size} episodes, {config.run.schedule} on {config.run.device}; actor {config.models.actor.source}, "
        f"extractor {config.models.extractor.source}"
    )


@app.command()
def compose(profile: str, overrides: list[str] = typer.Argument(None, metavar="[KEY=VALUE]...")) -> None:
    """Print a profile as params.yaml would hold it."""
    from crl.config import from_mapping
    from crl.config.compose import compose as compose_profile
    from crl.config.compose import dump

    values = compose_profile(profile, overrides or [])
    from_mapping(values)
    typer.echo(dump(values), nl=False)


def _print_fields() -> None:
    from crl.config import Config
    from crl.config.base import described_fields

    table = Table("field", "default", "meaning", box=None)
    for name, default, meaning in described_fields(Config):
        table.add_row(name, default, meaning)
    console.print(table)


if __name__ == "__main__":
    app()
