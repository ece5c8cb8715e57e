"""What the folder of a named model says of conversations: its chat template, what ends a turn, its settings for generation.

Only its tokenizer is loaded; of a model that is neither here nor in the hub's cache nothing is known yet.
"""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

from crl.config import Role
from crl.doctor.finding import Finding, Situation
from crl.errors import ConfigError
from crl.models.context import config_file


def chat(situation: Situation) -> Iterator[Finding]:
    for role, folder in _folders(situation).items():
        yield from conversations_of(
            f"models.{role}.source", folder, situation.config.role(role).model.template_arguments
        )


def _folders(situation: Situation) -> dict[Role, Path]:
    """Folders of the named models that are here with their tokenizers; `models` says what is missing."""
    files = {role: config_file(situation.config.role(role).model.source, situation.folder) for role in get_args(Role)}
    return {role: file.parent for role, file in files.items() if file and (file.parent / "tokenizer.json").is_file()}


def warm_up(situation: Situation) -> None:
    """Import what the check needs, before its deadline runs: seconds on a cold disk, which are nobody's hang."""
    if _folders(situation):
        importlib.import_module("crl.models.resolve")


def conversations_of(field: str, folder: Path, arguments: Mapping[str, bool | int | float | str]) -> Iterator[Finding]:
    """How this library will talk with the model of a folder, and what it will change."""
    from crl.models.chat import DATE, ChatFormat
    from crl.models.generation_settings import repaired
    from crl.models.resolve import generation_in, load_tokenizer, stops_in

    try:
        tokenizer = load_tokenizer(folder)
        settings, stops = generation_in(folder), stops_in(folder)
    except (OSError, ValueError) as error:
        yield Finding(
            "fail", f"{field}: cannot be loaded: {error}", "a model", "copy the whole model there, or correct it"
        )
        return
    try:
        talk = ChatFormat(tokenizer, stops, arguments)
    except ConfigError as error:
        seen, _, remedy = str(error).partition(" Remedy: ")
        yield Finding("fail", f"{field}: {seen}", "a chat template for text", remedy)
        return
    without = "out a system role: system text leads the first user message"
    ends = ", ".join(talk.decode([index]) for index in sorted(talk.end_ids))
    facts = [f"chat template with{' a system role' if talk.has_system_role else without}"]
    facts.append(f"a turn ends at {ends or 'its length alone'}")
    if talk.tells_date:
        facts.append(f"it tells the date: {tokenizer.init_kwargs.get(DATE, 'of the day of the warm start')}")
    yield Finding("ok", f"{field}: {'; '.join(facts)}")
    if changed := repaired(settings)[1]:
        seen = f"{field}: settings for generation that do not validate, and are saved with changes: {changed}"
        yield Finding("warn", seen, remedy="none is needed; to have it otherwise, correct its generation_config.json")
