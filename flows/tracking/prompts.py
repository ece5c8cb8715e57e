"""The prompts of a run as templates, for MLflow's prompt registry: what the prompt sets write, with names in place of values.

A prompt set is code, which says more or less by what it is given. So a template is one call of it, with `{{goal}}` for the goal
and so on: what a model reads in an ordinary episode of these parameters.
"""

import logging
from collections.abc import Callable, Mapping

from crl.actor.prompts import actor_prompts
from crl.config import Config
from crl.envs.contract import Observation
from crl.extractor.prompts import extractor_prompts
from crl.files import file_name
from crl.models.chat import Message
from crl.types import Completion, Episode, EpisodeKey, Outcome, Task, Turn, TurnKind, stable_id
from flows.tracking.stage_record import StageRecord

log = logging.getLogger(__name__)
PLAYED = ("actor", "gate", "ask")  # purposes of which an evaluation makes use; with the rest, those of a training
_ENTRY = "{{experience}}"
Templates = Mapping[str, list[Message]]


class _Named(float):
    """A number that a prompt shows by its name, whatever the format."""

    name: str

    def __new__(cls, name: str) -> "_Named":
        made = super().__new__(cls, 0.5)
        made.name = name
        return made

    def __format__(self, spec: str) -> str:
        return f"{{{{{self.name}}}}}"


def record_prompts(record: StageRecord, config: Config, purposes: tuple[str, ...] | None = None) -> None:
    """Register the run's templates, each once per content, and note their versions with the run. `purposes`: None for all."""
    chosen = {purpose: made for purpose, made in templates(config).items() if purposes is None or purpose in purposes}
    styles = {
        purpose: config.actor.prompts if purpose in ("actor", "gate") else config.extractor.prompts
        for purpose in chosen
    }
    prompts = {}
    for purpose, messages in chosen.items():
        template = [{"role": message.role, "content": message.content} for message in messages]
        name = file_name(f"crl-{purpose}-{styles[purpose]}")
        prompts[purpose] = {"name": name, "digest": stable_id(str(template)), "template": template}
    record.prompts(prompts)


def templates(config: Config) -> Templates:
    """Purpose -> messages, of the purposes that these parameters use. A set of a team's own that cannot be asked so is left out."""
    actor, extractor = actor_prompts(config.actor), extractor_prompts(config.extractor.prompts)
    seen = Observation("{{observation}}", "{{goal}}", ("{{actions}}",), "{{manual}}")
    later = Observation("{{next_observation}}", "{{goal}}", ("{{actions}}",), "{{manual}}")

    def played() -> list[Message]:
        opening = actor.opening(seen, _ENTRY, ask_manual=config.actor.ask.enabled)
        return [*opening, Message("assistant", "{{reply}}"), actor.following(later)]

    def distil(*entries: str) -> list[Message]:
        settings = config.extractor.distil
        return extractor.distil(
            _episode(), entries, max_operations=settings.max_operations, last_turns=settings.transcript_turns
        )

    asked: dict[str, Callable[[], list[Message]]] = {
        "actor": played,
        "distil": lambda: distil(_ENTRY),
        "distil-nothing-retrieved": distil,
        "merge": lambda: extractor.merge("{{task}}", [_ENTRY, "{{another_experience}}"]),
    }
    if config.actor.gate.enabled:
        asked["gate"] = lambda: actor.gate("{{situation}}", _ENTRY, _Named("mean_success"), _Named("episodes"))
    if config.actor.ask.enabled:
        asked["ask"] = lambda: extractor.ask("{{question}}", _ENTRY)
    made = {purpose: _made(purpose, ask) for purpose, ask in asked.items()}
    return {purpose: messages for purpose, messages in made.items() if messages}


def _made(purpose: str, ask: Callable[[], list[Message]]) -> list[Message] | None:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001  code of a team, with values that it may not expect; no run fails for a record
        log.warning("the prompt %s is not in MLflow: with names in place of values it raises %r", purpose, error)
        return None


def _episode() -> Episode:
    task = Task("{{task}}", "{{task}}", "", "", 0, 1)
    reply = Completion("", (), (), (), "{{reply}}", "stop", 0)
    turn = Turn(TurnKind.ACTION, "{{observation}}", reply, "{{action}}")
    return Episode(
        EpisodeKey(0, 0, 0), task, True, (turn,), Outcome.SUCCESS, 1.0, 1, goal="{{goal}}",
        final_observation="{{final_observation}}",
    )  # fmt: skip
