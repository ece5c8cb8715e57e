"""Whether chat templates as their makers published them are played here as they are written.

    python -m benchmarks.templates [--sdist FILE] [--only NAME ...] [--markdown] [--json FILE]

They come with a pinned package, whose archive is read and never built or run. Each gets a small tokenizer that has the
markers it writes as tokens, `<s>` and `</s>` for its maker's begin and end. Of each: the ids of an opening against those
of `apply_chat_template`; a conversation in steps (opening, reply, answer) against the whole that the template renders;
what closes a turn; system role and tool turns; whether the marks that it writes around a thought are known. A row says `ok`,
or why this library refuses the template; anything else is a fault, and ends with 1.
"""

import argparse
import hashlib
import io
import re
import sys
import tarfile
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from pathlib import Path, PurePosixPath

from tokenizers import AddedToken
from transformers import PreTrainedTokenizerBase

from benchmarks import common
from benchmarks.common import print_table, told, write_json
from crl.errors import ConfigError, CrlError, DataError
from crl.models.chat import ChatFormat, Message
from crl.replies.thoughts import reads_thoughts
from crl.tiny.tokenizer import train_tokenizer

ADDRESS = (
    "https://files.pythonhosted.org/packages/ec/e9/e7de2b0463ea3ffbf0ede6cb21b58c1258a8f6521aae45ca773a59fe7cf3/"
    "llama_cpp_python-0.3.36.tar.gz"
)
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
_INSIDE = "llama.cpp/models/templates"
_MARKER = re.compile(r"<[|｜][^\s<>]+?[|｜]>|</?[a-z_]+>|\[/?[A-Z_]{3,}\]")  # such as <|user|>, <end_of_turn>, [INST]
SYSTEM, USER, SAID, ANSWER = (
    Message("system", "Act."), Message("user", "go north"), Message("assistant", "look around"), Message("user", "a door"),
)  # fmt: skip
TOOL = Message("tool", "a key")


@dataclass(frozen=True, slots=True)
class Checked:
    """What one template showed; what stands at its default was not reached."""

    name: str
    system_role: bool | None = None
    closing: str = ""  # the token that ends a turn
    opening: bool | None = None  # ids are those of apply_chat_template
    rewrites: str | None = None  # what the whole has in another way than its steps: '' is nothing
    tool: str = ""  # markers around a tool's turn
    thoughts: bool | None = None  # whether its marks are known, so that no draft counts; None: it writes none
    refusal: str = ""
    fault: str = ""

    @property
    def result(self) -> str:
        return self.fault or self.refusal or "ok"


def published(archive: bytes) -> dict[str, str]:
    """Templates by name, of the package's source archive. Raises DataError for another archive than the pinned one."""
    found = hashlib.sha256(archive).hexdigest()
    if found != SHA256:
        raise DataError(f"the archive's SHA-256 is {found}, not {SHA256}. Remedy: fetch {ADDRESS}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        return {
            PurePosixPath(member.name).stem: files.extractfile(member).read().decode()
            for member in files
            if member.isfile() and member.name.endswith(".jinja") and _INSIDE in member.name
        }


def tokenizer_of(template: str) -> PreTrainedTokenizerBase:
    """A small tokenizer with this template, and with the markers that it writes as special tokens."""
    tokenizer = train_tokenizer([message.content for message in (SYSTEM, USER, SAID, ANSWER)], 300)
    tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
    tokenizer.chat_template = template
    written = set()
    for messages in ([SYSTEM, USER, SAID, ANSWER], [USER, SAID, ANSWER], [USER, SAID, TOOL]):
        try:
            written |= set(_MARKER.findall(_own(tokenizer, messages)))
        except Exception:  # noqa: BLE001  a template refuses as it likes; what ChatFormat says of it is the result
            continue
    tokenizer.add_tokens([AddedToken(text, special=True, normalized=False) for text in sorted(written)])
    return tokenizer


def check(name: str, template: str) -> Checked:
    """One template, in steps and as a whole."""
    found: dict[str, object] = {"name": name}
    tokenizer = tokenizer_of(template)
    try:
        talk = ChatFormat(tokenizer)
        found |= {"system_role": talk.has_system_role, "closing": talk.decode(talk.closing)}
        asked = [SYSTEM, USER]
        whole = asked if talk.has_system_role else [Message("user", f"{SYSTEM.content}\n\n{USER.content}")]
        opening, answered = talk.open(asked), talk.reply([ANSWER], ())
        found["opening"] = talk.decode(opening) == _own(tokenizer, whole) and list(opening) == _own_ids(
            tokenizer, whole
        )
        steps = talk.decode(opening) + SAID.content + talk.decode(answered)
        found["rewrites"] = _apart(steps, _own(tokenizer, [*whole, SAID, ANSWER]))
        follows = _own(tokenizer, [USER, SAID, ANSWER]).endswith(SAID.content + talk.decode(answered))
        found["tool"] = _tool_markers(talk)
        found["thoughts"] = reads_thoughts(tokenizer, {})
    except CrlError as refused:
        return Checked(**found, refusal=told(refused))
    except Exception as error:  # noqa: BLE001  whatever a template raises is its row's result
        return Checked(**found, fault=f"{type(error).__name__}: {error}")
    parts = {"opening": found["opening"], "what follows a reply": follows, "thoughts": found["thoughts"] is not False}
    off = [what for what, well in parts.items() if not well]
    return Checked(**found, fault=f"differs: {', '.join(off)}" if off else "")


def _own(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    return tokenizer.apply_chat_template(_as_dicts(messages), tokenize=False, add_generation_prompt=True)


def _own_ids(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    return tokenizer.apply_chat_template(_as_dicts(messages), tokenize=True, add_generation_prompt=True)["input_ids"]


def _as_dicts(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _apart(steps: str, whole: str) -> str:
    """How a whole conversation differs from its steps: from the first different character on, up to what both end with.

    Templates may write a turn that has passed in another way than the same turn when it was to come: without its thought,
    or without system text that moves on to the last user message.
    """
    if steps == whole:
        return ""
    start = len(commonprefix([steps, whole]))  # noqa: RUF071  of characters
    same = len(commonprefix([steps[start:][::-1], whole[start:][::-1]]))  # noqa: RUF071
    return f"{steps[start : len(steps) - same]!r} in steps, {whole[start : len(whole) - same]!r} in the whole"


def _tool_markers(talk: ChatFormat) -> str:
    try:
        text = talk.decode(talk.reply([TOOL], talk.closing))
    except ConfigError:
        return "refused"
    before, _, after = text.partition(TOOL.content)
    return " ".join([*_MARKER.findall(before), "…", *_MARKER.findall(after)[:1]])


HEADINGS = (
    "template",
    "system role",
    "a turn ends with",
    "opening",
    "rewritten when it has passed",
    "a tool's turn",
    "thoughts",
    "result",
)


def cells(row: Checked) -> list[str]:
    """As the table shows them; a dash where a refusal came before."""
    answers = ["-" if value is None else "yes" if value else "no" for value in (row.system_role, row.opening)]
    thoughts = {None: "-", True: "known", False: "unknown"}[row.thoughts]
    rewrites = "-" if row.rewrites is None else row.rewrites or "nothing"
    return [row.name, answers[0], row.closing or "-", answers[1], rewrites, row.tool or "-", thoughts, row.result]


def markdown(rows: Sequence[Checked]) -> str:
    """The table of docs/models.md."""
    return common.markdown(HEADINGS, [[_quoted(cell) for cell in cells(row)] for row in rows])


def _quoted(cell: str) -> str:
    cell = cell.replace("|", "\\|")
    return f"`{cell}`" if re.search("[<'\\[]", cell) else cell


def show(rows: Sequence[Checked]) -> None:
    print_table("models: chat templates as published", HEADINGS, [cells(row) for row in rows])


def run(templates: Mapping[str, str]) -> list[Checked]:
    """One row per template."""
    return [check(name, template) for name, template in sorted(templates.items())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--sdist", type=Path, metavar="FILE", help="the package's archive (default: it is fetched, 77 MB)"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="templates (default: all)")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/models.md")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as a JSON list")
    options = parser.parse_args()
    templates = published(
        options.sdist.read_bytes() if options.sdist else urllib.request.urlopen(ADDRESS, timeout=600).read()
    )
    rows = run({name: templates[name] for name in options.only or templates})
    print(markdown(rows)) if options.markdown else show(rows)
    write_json(rows, options.json)
    sys.exit(any(row.fault for row in rows))


if __name__ == "__main__":
    main()
