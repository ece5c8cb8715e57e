"""`crl play`: watch or play one episode in the terminal."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from crl.cli.envs import levels_of, sample_tasks
from crl.cli.players import Chance, Hand, Human, Model, Oracle, Scripted
from crl.cli.values import finite
from crl.envs.contract import TextEnv
from crl.envs.registry import make_env
from crl.errors import ConfigError
from crl.replies.printable import plain, printable
from crl.seeding import stream
from crl.types import Outcome, Task

app = typer.Typer(add_completion=False)
console = Console()
_COLOURS = {Outcome.SUCCESS: "green", Outcome.DEATH: "red", Outcome.TIMEOUT: "yellow"}


class PlayerKind(StrEnum):
    HUMAN = "human"
    RANDOM = "random"
    SCRIPTED = "scripted"
    ORACLE = "oracle"
    MODEL = "model"


class Replies(StrEnum):
    FREE = "free"
    LEGAL = "legal"


@app.command()
def play(
    env: Annotated[str, typer.Option(help="environment family, or module:Class; `crl envs` lists them")] = "minihack",
    level: Annotated[str | None, typer.Option(help="the family's level; without it the first that it lists")] = None,
    seed: Annotated[int, typer.Option(min=0, help="fixes the instance and all that happens in it")] = 0,
    player: Annotated[PlayerKind, typer.Option(help="who plays")] = PlayerKind.HUMAN,
    observation: Annotated[str, typer.Option(help="text style; tiny models were trained on slots")] = "grid",
    max_steps: Annotated[int, typer.Option(min=1, help="steps before time-out")] = 30,
    skill: Annotated[list[str] | None, typer.Option(help="scripted: skills; without it the family's best")] = None,
    model: Annotated[str | None, typer.Option(help="model: local folder or hub name")] = None,
    prompts: Annotated[
        str | None, typer.Option(help="model: prompt set; without it full, compact beside slots")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, callback=finite, help="model: 0 is greedy")] = 1.0,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="model: of one reply; without it 512, 1 beside slots")
    ] = None,
    replies: Annotated[
        Replies | None, typer.Option(help="model: free, or one of the turn's legal actions; without it free")
    ] = None,
    delay_s: Annotated[float, typer.Option(min=0, callback=finite, help="pause after each step")] = 0.0,
) -> None:
    """Watch or play one episode in the terminal."""
    for option, given, whose in (
        ("--skill", skill, PlayerKind.SCRIPTED), ("--model", model, PlayerKind.MODEL),
        ("--prompts", prompts, PlayerKind.MODEL), ("--max-new-tokens", max_new_tokens, PlayerKind.MODEL),
        ("--replies", replies, PlayerKind.MODEL),
    ):  # fmt: skip
        if given and player is not whose:
            raise ConfigError(f"{option}: --player {player} takes none. Remedy: add --player {whose}, or leave it out")
    level = levels_of(env)[0] if level is None else level
    [task] = sample_tasks(env, level, 1, max_steps, observation, first_seed=seed)
    hands: dict[PlayerKind, Callable[[], Hand]] = {
        PlayerKind.HUMAN: lambda: Human(console),
        PlayerKind.RANDOM: lambda: Chance(stream(seed, "play")),
        PlayerKind.SCRIPTED: lambda: Scripted(task, skill or [], stream(seed, "play")),
        PlayerKind.ORACLE: lambda: Oracle(task, observation),
        PlayerKind.MODEL: lambda: _model(model, observation, prompts, temperature, max_new_tokens, seed, replies),
    }
    try:
        with closing(make_env(env, observation)) as played, closing(hands[player]()) as who:
            asyncio.run(show_episode(played, task, who, delay_s))
    except KeyboardInterrupt:
        console.print("stopped")


def _model(
    source: str | None, observation: str, prompts: str | None, temperature: float, most: int | None, seed: int,
    replies: Replies | None,
) -> Model:  # fmt: skip
    if source is None:
        raise ConfigError("--player model: no model given. Remedy: add --model FOLDER")
    tiny = observation == "slots"  # tiny models were trained on it, and answer with the bare action word
    return Model(
        source, prompts or ("compact" if tiny else "full"), temperature,
        max_new_tokens=most or (1 if tiny else 512), seed=seed, hear=_say,
        legal=replies is Replies.LEGAL,
    )  # fmt: skip


def _say(piece: str) -> None:
    """A piece of what a model is writing, as it comes: no markup is read in it, and it controls no terminal."""
    console.out(printable(piece), end="", style="cyan", highlight=False)


async def show_episode(env: TextEnv, task: Task, player: Hand, delay_s: float = 0.0) -> Outcome:
    """Play to the end and print every turn. An invalid action costs a turn, as in training."""
    observation, valid = env.reset(task), True
    goal = Text(plain(observation.goal))
    console.print(Panel(Text(plain(observation.text)), title=goal, title_align="left", border_style="blue"))
    for turn in range(1, task.max_steps + 1):
        action = await player.act(observation, valid)
        result = env.step(action)
        observation, valid = result.observation, result.valid
        title = f"{turn}  {action.strip()[:60]!r}" + ("" if valid else "  not understood")
        console.print(Panel(Text(plain(observation.text)), title=Text(title), title_align="left"))
        if result.done:
            break
        await asyncio.sleep(delay_s)
    outcome = result.outcome or Outcome.TIMEOUT
    console.print(f"[bold {_COLOURS[outcome]}]{outcome}[/] after {turn} turns, reward {result.reward:g}")
    return outcome
