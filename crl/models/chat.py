"""Conversations as token ids: rendered turn by turn, so that no token is ever tokenised twice.

A chat template is rendered once per sequence of roles, around placeholders. What comes out is a
scaffold: markers and fixed text, with places for the contents. From then on only contents are tokenised,
and always as plain text: `<|im_end|>` inside an observation or an experience stays harmless characters,
whatever the tokenizer. Markers are its special tokens, and all other added tokens that the template writes
(DeepSeek's `<｜User｜>`, Qwen's `<tool_call>`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from inspect import signature
from itertools import takewhile
from typing import Any

import jinja2
from transformers import PreTrainedTokenizerBase

from crl.errors import ConfigError
from crl.models.plain_text import PlainText

DATE = "template_date"  # in tokenizer_config.json: the day that a template which asks for the date is told
_SPACE = "\u2003"  # around placeholders: shows whether the template strips contents, and is in no template itself
_PLACE = re.compile(rf"({_SPACE}?)@@message(-?\d+)@@({_SPACE}?)")  # where a message's content goes


@dataclass(frozen=True, slots=True)
class Message:
    role: str  # "system" | "user" | "assistant" | "tool"
    content: str


# What markers with `lstrip` and `rstrip` take beside them: Unicode's White_Space, which is less than str.strip() takes.
_WHITE = "".join(
    map(chr, (*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000))
)
_PROBE = " \n go 2 steps north,\n\n then <look> \n"


@dataclass(frozen=True, slots=True)
class _Text:
    """What stands between two markers."""

    shown: str  # with places for contents
    starts: bool  # the conversation begins with it
    eaten_before: bool  # the marker there takes the white space beside it
    eaten_after: bool


_Piece = int | _Text  # an int is a marker's id
# What a template raises: of its own accord, or where it takes for given what it was not told (tools, functions).
_OF_TEMPLATES = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, jinja2.TemplateError)
# Conversations that show what a template writes; it may refuse some.
_KINDS = (("system", "user"), ("user", "assistant", "user"), ("user", "assistant", "tool"))


class ChatFormat:
    """A tokenizer's chat template, applied incrementally.

    `stops` are the model's own, of `crl.models.resolve.stops_of`. With the tokenizer's and what the template closes a turn
    with they are `end_ids`: all that `generate` and vLLM stop at. `arguments` are the template's own, such as
    `enable_thinking`. Raises ConfigError for a template that cannot be used, or that reads none of these names.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        stops: Iterable[int] = (),
        arguments: Mapping[str, bool | int | float | str] | None = None,
    ) -> None:
        if not tokenizer.is_fast:
            raise ConfigError(f"{type(tokenizer).__name__} is not a fast tokenizer. Remedy: add a tokenizer.json")
        self._tokenizer = tokenizer
        self._arguments = self._checked(arguments or {}) | {"strftime_now": self._find_day().strftime}
        self._markers = self._find_markers()
        longest_first = sorted(self._markers, key=len, reverse=True)
        self._marker = re.compile("(" + ("|".join(map(re.escape, longest_first)) or "(?!)") + ")")
        self._plain = PlainText(tokenizer.backend_tokenizer, self._markers)
        self._opening = lru_cache(maxsize=64)(self._compile_opening)
        self._reply = lru_cache(maxsize=64)(self._compile_reply)
        self.end_ids: frozenset[int] = self._find_end_ids().union(stops)
        self.has_system_role: bool = self._shows_system_text()
        self._check_ids()

    def open(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Ids of a whole prompt, up to where the assistant's turn begins.

        Where the template has no system role, system text stands at the head of the first user message.
        """
        shown = messages if self.has_system_role else _with_system_text_joined(messages)
        return self._fill(self._opening(tuple(message.role for message in shown)), shown)

    def reply(self, messages: Sequence[Message], said: Sequence[int]) -> tuple[int, ...]:
        """Ids that follow the generated turn `said`: its end, the new messages, the next turn's beginning.

        The template's own end is left out where the turn ends with it; after another one of `end_ids` it follows.
        """
        last = said[-1] if said and said[-1] in self.end_ids else None
        return self._fill(self._reply(tuple(message.role for message in messages), last), messages)

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of plain text, as an assistant would have to generate them."""
        return self._plain.encode(text, True)

    @property
    def closing(self) -> tuple[int, ...]:
        """The one id that ends an assistant turn before another: the template's, else the tokenizer's, else the lowest."""
        ends = [piece for piece in self._reply(("user",), None) if piece in self.end_ids]
        eos = self._tokenizer.eos_token_id
        return tuple((ends or ([] if eos is None else [eos]) or sorted(self.end_ids))[:1])

    def decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)

    @property
    def markers(self) -> tuple[str, ...]:
        """Texts of the tokens that are markers where the template writes them, and plain characters in contents."""
        return tuple(self._markers)

    @property
    def tells_date(self) -> bool:
        """Whether the template says which day it is."""
        return _tells_date(self._tokenizer)

    @property
    def _name(self) -> str:
        return self._tokenizer.name_or_path or "the tokenizer"

    def _fill(self, scaffold: tuple[_Piece, ...], messages: Sequence[Message]) -> tuple[int, ...]:
        ids: list[int] = []
        for piece in scaffold:
            if isinstance(piece, int):
                ids.append(piece)
            else:
                text = _shown(piece.shown, messages)
                text = text.lstrip(_WHITE) if piece.eaten_before else text
                text = text.rstrip(_WHITE) if piece.eaten_after else text
                ids += self._plain.encode(text, piece.starts)
        return tuple(ids)

    def _compile_opening(self, roles: tuple[str, ...]) -> tuple[_Piece, ...]:
        return self._split(self._render(roles), roles, starts=True)

    def _compile_reply(self, roles: tuple[str, ...], last: int | None) -> tuple[_Piece, ...]:
        """`last` is the end token that the generated turn has already."""
        scaffold = self._split(self._after_reply(roles), roles)
        end = next((at for at, piece in enumerate(scaffold) if piece in self.end_ids), None)
        return scaffold if end is None or scaffold[end] != last else scaffold[end + 1 :]

    def _find_markers(self) -> dict[str, int]:
        """Texts and ids of special tokens, and of added tokens that the template writes, in its text or when rendered."""
        written = [str(self._tokenizer.chat_template)]
        for roles in _KINDS:
            with suppress(ConfigError):
                written.append(self._render(roles))
        added = self._tokenizer.added_tokens_decoder.items()
        return {
            token.content: index
            for index, token in added
            if token.special or (token.content.strip() and any(token.content in text for text in written))
        }

    def _find_end_ids(self) -> frozenset[int]:
        pieces = self._split(self._after_reply((), generation_prompt=False), ())
        end = [piece for piece in pieces if isinstance(piece, int)][:1]
        eos = self._tokenizer.eos_token_id
        return frozenset(end if eos is None else [*end, eos])

    def _checked(self, arguments: Mapping[str, bool | int | float | str]) -> dict[str, Any]:
        """The arguments, each of which the template reads and neither this class nor the tokenizer sets."""
        ours = {*signature(self._tokenizer.apply_chat_template).parameters, *self._tokenizer.special_tokens_map}
        ours |= {"messages", "strftime_now", "raise_exception"}
        known = set(re.findall(r"\w+", str(self._tokenizer.chat_template))) - ours
        if strangers := sorted(arguments.keys() - known):
            raise ConfigError(
                f"template_arguments = {strangers}: nothing that the chat template of {self._name} can be told. Remedy: names "
                "that the template reads, as its model card tells them, or {}"
            )
        return dict(arguments)

    def _find_day(self) -> date:
        given = self._tokenizer.init_kwargs.get(DATE)
        try:
            return date.today() if given is None else date.fromisoformat(given)
        except (TypeError, ValueError):
            raise ConfigError(
                f"tokenizer_config.json of {self._name}: {DATE} = {given!r}: not a date. Remedy: write it as 2026-01-31"
            ) from None

    def _shows_system_text(self) -> bool:
        """Whether system text has a place of its own: templates without one raise (Gemma), or leave it out."""
        try:
            self._compile_opening(("system", "user"))
        except ConfigError:
            return False
        return True

    def _after_reply(self, roles: tuple[str, ...], generation_prompt: bool = True) -> str:
        """What a conversation of these roles looks like after the assistant's reply that they follow."""
        rendered = self._render(("user", "assistant", *roles), -2, generation_prompt)
        replies = [place for place in _PLACE.finditer(rendered) if place[2] == "-1"]
        if not replies:
            raise ConfigError(
                f"the chat template of {self._name} shows no reply whose content is plain text. Remedy: a template for text "
                "(chat_template.jinja in the model's folder), or another model"
            )
        return rendered[replies[0].end() :]

    def _render(self, roles: tuple[str, ...], first: int = 0, generation_prompt: bool = True) -> str:
        """The template around places, which count from `first`."""
        dummies = [{"role": role, "content": f"{_SPACE}@@message{i}@@{_SPACE}"} for i, role in enumerate(roles, first)]
        try:
            return self._tokenizer.apply_chat_template(
                dummies, tokenize=False, add_generation_prompt=generation_prompt, **self._arguments
            )
        except _OF_TEMPLATES as error:
            raise ConfigError(
                f"the chat template of {self._name} cannot render the roles {list(roles)}: {error}. Remedy: use an "
                "instruction-tuned model, or put a template that takes them into its folder (chat_template.jinja)"
            ) from error

    def _split(self, rendered: str, roles: tuple[str, ...], starts: bool = False) -> tuple[_Piece, ...]:
        """`starts`: it is all of the conversation, from its first character on."""
        seen = [int(place[2]) for place in _PLACE.finditer(rendered)]
        if seen != list(range(len(roles))):
            raise ConfigError(
                f"the chat template shows messages {seen} of the roles {list(roles)}, each should be shown once and in "
                "order. Remedy: use another model or template"
            )
        pieces = [self._markers.get(text, text) for text in self._marker.split(rendered) if text]
        added = self._tokenizer.added_tokens_decoder
        return tuple(
            piece
            if isinstance(piece, int)
            else _Text(
                piece,
                starts=starts and at == 0,
                eaten_before=at > 0 and added[pieces[at - 1]].rstrip,
                eaten_after=at + 1 < len(pieces) and added[pieces[at + 1]].lstrip,
            )
            for at, piece in enumerate(pieces)
        )

    def _check_ids(self) -> None:
        """Raises ConfigError where a conversation in pieces has other ids than `apply_chat_template(tokenize=True)` gives."""
        probe = self._marker.sub("", _PROBE)
        for roles in _KINDS:
            try:
                rendered = self._render(roles)
                scaffold = self._split(rendered, roles, starts=True)
            except ConfigError:
                continue  # roles that the template refuses: said by whoever needs them
            messages = [Message(role, probe) for role in roles]
            own = self._tokenizer(_shown(rendered, messages), add_special_tokens=False)["input_ids"]
            if list(self._fill(scaffold, messages)) != own:
                raise ConfigError(
                    f"the tokenizer of {self._name} gives other ids for a conversation of the roles {list(roles)} as a whole "
                    "than for its parts, so it cannot be fed turn by turn. Remedy: another model, or markers that are added "
                    'tokens with "normalized": false in its tokenizer.json'
                )


def _shown(text: str, messages: Sequence[Message]) -> str:
    """A template's text with the contents at their places, stripped where the template strips them."""

    def content(place: re.Match[str]) -> str:
        content = messages[int(place[2])].content
        content = content if place[1] else content.lstrip()
        return content if place[3] else content.rstrip()

    return _PLACE.sub(content, text)


def _with_system_text_joined(messages: Sequence[Message]) -> list[Message]:
    """System text in front of the user message that follows it, as Gemma 3's own template has it."""
    system = list(takewhile(lambda message: message.role == "system", messages))
    rest = messages[len(system) :]
    if not system or (rest and rest[0].role != "user"):
        return list(messages)
    text = "\n\n".join(message.content for message in (*system, *rest[:1]))
    return [Message("user", text), *rest[1:]]


def fix_date(tokenizer: PreTrainedTokenizerBase) -> None:
    """Have a tokenizer whose template tells the date (`strftime_now`) tell today's from now on, wherever it is saved.

    Else a run that is resumed on another day had other prompts. A date that is fixed already stays.
    """
    if _tells_date(tokenizer):
        tokenizer.init_kwargs.setdefault(DATE, date.today().isoformat())


def _tells_date(tokenizer: PreTrainedTokenizerBase) -> bool:
    return "strftime_now" in str(tokenizer.chat_template)
