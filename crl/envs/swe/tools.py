"""The tool calls of a model that repairs a repository. Model output is untrusted: bounded, strict, never raises.

    Some thoughts ...
    <function=bash>
    <parameter=command>
    ls -la
    </parameter>
    </function>

One call per reply, nothing after it. One newline after a parameter's opening and one before its closing tag are layout, not
content. The bare word `submit` is the call of `submit`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_REPLY_CHARS = 100_000  # about 25 k tokens: a file of 2,500 lines in one `create`
MAX_COMMAND_CHARS = 32_000
_CALL = re.compile(r"<function=([A-Za-z_]{1,40})>")
_PARAMETER = re.compile(r"\s*<parameter=([A-Za-z_]{1,40})>")
_OPEN, _CLOSE, _PARAMETER_CLOSE = "<function=", "</function>", "</parameter>"
EDITOR_COMMANDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # required, optional
    "view": (("path",), ("view_range",)),
    "create": (("path", "file_text"), ()),
    "str_replace": (("path", "old_str"), ("new_str",)),
    "insert": (("path", "insert_line", "new_str"), ()),
    "undo_edit": (("path",), ()),
}


@dataclass(frozen=True, slots=True)
class Call:
    """A well-formed call; the arguments are as the tool needs them, the values still untrusted."""

    tool: str  # "bash" | "str_replace_editor" | "submit"
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not a call; `reason` tells the model what to change."""

    reason: str


def parse(reply: str) -> Call | Malformed:
    """The one call of a reply."""
    if len(reply) > MAX_REPLY_CHARS:
        return Malformed(f"The reply has {len(reply)} characters; {MAX_REPLY_CHARS} are allowed.")
    if reply.strip() == "submit":
        return Call("submit")
    if "\0" in reply:
        return Malformed("The reply holds a NUL character.")
    if reply.count(_OPEN) != 1 or reply.count(_CLOSE) != 1:
        return Malformed(
            f"The reply has {reply.count(_OPEN)} '<function=' and {reply.count(_CLOSE)} '</function>'; exactly one call is needed."
        )
    match = _CALL.search(reply)
    body, _, after = reply.partition(_CLOSE)
    if match is None or match.end() > len(body):
        return Malformed("The call does not begin with <function=NAME> and end with </function>.")
    if after.strip():
        return Malformed("There is text after </function>. End the reply with the call.")
    arguments = _arguments(body[match.end() :])
    return arguments if isinstance(arguments, Malformed) else _check(match[1], arguments)


def _arguments(body: str) -> dict[str, str] | Malformed:
    arguments: dict[str, str] = {}
    position = 0
    while match := _PARAMETER.match(body, position):
        end = body.find(_PARAMETER_CLOSE, match.end())
        if end < 0:
            return Malformed(f"<parameter={match[1]}> is not closed by </parameter>.")
        if match[1] in arguments:
            return Malformed(f"The parameter {match[1]} is given twice.")
        arguments[match[1]] = body[match.end() : end].removeprefix("\n").removesuffix("\n")
        position = end + len(_PARAMETER_CLOSE)
    if body[position:].strip():
        return Malformed("Between <function=...> and </function> only <parameter=NAME>...</parameter> is allowed.")
    return arguments


def _check(tool: str, arguments: dict[str, str]) -> Call | Malformed:
    if tool == "submit":
        return _named(tool, arguments, (), ())
    if tool == "bash":
        if len(arguments.get("command", "")) > MAX_COMMAND_CHARS:
            return Malformed(f"The command is longer than {MAX_COMMAND_CHARS} characters.")
        return _named(tool, arguments, ("command",), ())
    if tool != "str_replace_editor":
        return Malformed(f"There is no tool {tool!r}; there are bash, str_replace_editor and submit.")
    command = arguments.get("command", "").strip()
    if command not in EDITOR_COMMANDS:
        return Malformed(f"The editor's command is {command[:40]!r}; use one of {', '.join(EDITOR_COMMANDS)}.")
    required, optional = EDITOR_COMMANDS[command]
    checked = _named(tool, {**arguments, "command": command}, ("command", *required), optional)
    return checked if isinstance(checked, Malformed) else _typed(checked)


def _named(
    tool: str, arguments: dict[str, str], required: tuple[str, ...], optional: tuple[str, ...]
) -> Call | Malformed:
    if missing := [name for name in required if not (arguments.get(name) if name in _FILLED else name in arguments)]:
        return Malformed(f"{tool} needs the parameter {', '.join(missing)}.")
    if extra := [name for name in arguments if name not in (*required, *optional)]:
        return Malformed(f"{tool} does not take the parameter {', '.join(extra)} here.")
    return Call(tool, arguments)


_FILLED = ("command", "path", "old_str")  # must not be empty
_LINE = re.compile(r"\s*\d{1,7}\s*", re.ASCII)
_RANGE = re.compile(r"\s*\[?\s*(\d{1,7})\s*,\s*(-1|\d{1,7})\s*\]?\s*", re.ASCII)


def _typed(call: Call) -> Call | Malformed:
    """Line numbers as plain digits; the rest is text."""
    arguments = dict(call.arguments)
    if "insert_line" in arguments:
        if not _LINE.fullmatch(arguments["insert_line"]):
            return Malformed("insert_line must be a line number: 0 inserts at the beginning, N after line N.")
        arguments["insert_line"] = arguments["insert_line"].strip()
    if "view_range" in arguments:
        if not (match := _RANGE.fullmatch(arguments["view_range"])):
            return Malformed("view_range must be two line numbers such as [1, 40]; [10, -1] shows to the end.")
        arguments["view_range"] = f"{match[1]},{match[2]}"
    return Call(call.tool, arguments)


def render(tool: str, **arguments: str) -> str:
    """A call as text, the inverse of `parse`."""
    parts = "".join(f"<parameter={name}>\n{value}\n</parameter>\n" for name, value in arguments.items())
    return f"<function={tool}>\n{parts}</function>"
