"""What the folder of a named model says of conversations: its chat template, what ends a turn, its settings for generation.

Only its tokenizer is loaded; of a model that is neither here nor in the hub's cache nothing is known yet.
"""

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from crl.config import Role
from crl.doctor.finding import Finding, Situation
from crl.errors import ConfigError
from crl.models.context import config_file, doubtful_from, longest_context

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from crl.models.chat import ChatFormat

_ASKED = "Go north."
_SHOWN = 8  # of names in a list


def chat(situation: Situation) -> Iterator[Finding]:
    """One line of what is in order for each named model, and one of each thing that is not."""
    for role, folder in _folders(situation).items():
        field = f"models.{role}.source"
        model = situation.config.role(role).model
        found = list(conversations_of(folder, model.template_arguments, model.context_tokens))
        if well := [finding.seen for finding in found if finding.status == "ok"]:
            yield Finding("ok", f"{field}: {'; '.join(well)}")
        yield from (replace(each, seen=f"{field}: {each.seen}", check="") for each in found if each.status != "ok")


def _folders(situation: Situation) -> dict[Role, Path]:
    """Folders of the named models that are here with their tokenizers; `models` says what is missing."""
    files = {role: config_file(situation.config.role(role).model.source, situation.folder) for role in get_args(Role)}
    return {role: file.parent for role, file in files.items() if file and (file.parent / "tokenizer.json").is_file()}


def warm_up(situation: Situation) -> None:
    """Import what the check needs, before its deadline runs: seconds on a cold disk, which are nobody's hang."""
    if _folders(situation):
        importlib.import_module("crl.models.resolve")


def conversations_of(
    folder: Path, arguments: Mapping[str, bool | int | float | str], context_tokens: int | None = None
) -> Iterator[Finding]:
    """How this library will talk with the model of a folder, and what it will change: one finding for each thing.

    `context_tokens`: what a run will ask of it, where that is known.
    """
    from crl.models.chat import ChatFormat
    from crl.models.generation_settings import repaired
    from crl.models.resolve import generation_in, load_tokenizer, stops_in, vocabulary_in

    try:
        tokenizer = load_tokenizer(folder)
        settings, stops, rows = generation_in(folder), stops_in(folder), vocabulary_in(folder)
        values = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        remedy = "copy the whole model there, or correct it"
        yield Finding("fail", f"cannot be loaded: {error}", "a model", remedy, "files")
        return
    except ConfigError as error:
        yield Finding.refused(error, "a model", "files")
        return
    try:
        talk = ChatFormat(tokenizer, stops, arguments)
    except ConfigError as error:
        yield Finding.refused(error, "a chat template for text", "chat template")
        return
    yield from _told(talk, tokenizer)
    yield _thoughts(tokenizer, arguments)
    yield _context(values, context_tokens)
    yield _vocabulary(tokenizer, rows)
    if changed := repaired(settings)[1]:
        seen = f"settings for generation that do not validate, and are saved with changes: {changed}"
        remedy = "none is needed; to have it otherwise, correct its generation_config.json"
        yield Finding("warn", seen, remedy=remedy, check="repairs")
    else:
        yield Finding("ok", "nothing of it is repaired", check="repairs")


def _told(talk: "ChatFormat", tokenizer: "PreTrainedTokenizerBase") -> Iterator[Finding]:
    from crl.models.chat import DATE, Message

    without = "out a system role: system text leads the first user message"
    role = f"chat template with{' a system role' if talk.has_system_role else without}"
    yield Finding("ok", role, check="system role")
    ends = ", ".join(talk.decode([index]) for index in sorted(talk.end_ids))
    yield Finding("ok", f"a turn ends at {ends or 'its length alone'}", check="ends of turns")
    opened = talk.decode(talk.open([Message("user", _ASKED)])).rpartition(_ASKED)[2]
    begins = opened.partition(talk.decode(talk.closing))[2].lstrip() if talk.closing else opened
    yield Finding("ok", f"a reply begins after {begins!r}", check="beginning")
    day = tokenizer.init_kwargs.get(DATE, "of the day of the warm start")
    yield Finding("ok", f"it tells the date: {day}" if talk.tells_date else "it tells no date", check="date")
    plain = f"{len(talk.markers)} markers stay plain characters in contents: {_listed(talk.markers)}"
    yield Finding("ok", plain, check="markers")
    yield Finding("ok", "token ids are those of apply_chat_template(tokenize=True)", check="ids")


def _context(values: Mapping[str, Any], asked: int | None) -> Finding:
    longest, doubtful = longest_context(values), doubtful_from(values)
    if longest is None:
        return Finding("ok", "config.json names no length that bounds context_tokens", check="context")
    seen = f"context_tokens up to {longest}"
    if doubtful is not None:
        seen += f", or {doubtful} where that counts the factor of its linear RoPE already"
    if doubtful is None or asked is None or asked <= doubtful:
        return Finding("ok", seen, check="context")
    remedy = f"context_tokens={doubtful} or less, unless its model card tells the longer context"
    return Finding("warn", f"{seen}; asked for {asked}", remedy=remedy, check="context")


def _thoughts(tokenizer: "PreTrainedTokenizerBase", arguments: Mapping[str, bool | int | float | str]) -> Finding:
    from crl.replies.thoughts import reads_thoughts

    known = reads_thoughts(tokenizer, arguments)
    if known is False:
        seen = (
            "the template writes thoughts between marks that are not known here: what a thought drafts would be played"
        )
        remedy = "what switches thoughts off, in template_arguments; or add the marks to crl/replies/thoughts.py"
        return Finding("warn", seen, remedy=remedy, check="thoughts")
    if known is None:
        return Finding("ok", "the template writes no thoughts", check="thoughts")
    return Finding("ok", "thoughts are told by their marks, and nothing in them counts", check="thoughts")


def _vocabulary(tokenizer: "PreTrainedTokenizerBase", rows: int) -> Finding:
    """An id beyond the model's rows is refused when it comes up."""
    beyond = sorted(token for token, index in tokenizer.get_vocab().items() if index >= rows)
    if beyond:
        seen = f"the tokenizer has {len(beyond)} tokens beyond the model's {rows} ids: {_listed(beyond)}"
        return Finding(
            "warn", seen, remedy="a text with one of them ends a run: a tokenizer of this model", check="vocabulary"
        )
    return Finding("ok", f"{len(tokenizer)} tokens, {rows} ids of the model", check="vocabulary")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
