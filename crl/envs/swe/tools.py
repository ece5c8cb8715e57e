"""The tool calls of a model that repairs a repository. Model output is untrusted: bounded, strict, never raises.

    Some thoughts ...
    <function=bash>
    <parameter=command>
    ls -la
    </parameter>
    </function>

One call per reply; the text around it is free, as long as no other call begins or ends in it. One newline after a parameter's
opening and one before its closing tag are layout, not content. The bare word `submit`, or `submit()`, is the call of `submit`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_REPLY_CHARS = 100_000  # about 25 k tokens: a file of 2,500 lines in one `create`
MAX_COMMAND_CHARS = 32_000
_CALL = re.compile(r"<function=([A-Za-z_]{1,40})>")
_PARAMETER = re.compile(r"\s*<parameter=([A-Za-z_]{1,40})>")
_SUBMIT = re.compile(r"[\s\"'`*<]*submit\s*(?:\(\s*\))?[\s\"'`*.>]*", re.IGNORECASE)
_OPEN, _CLOSE, _PARAMETER_CLOSE = "<function=", "</function>", "</parameter>"
EDITOR_COMMANDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # required, optional
    "view": (("path",), ("view_range",)),
    "create": (("path", "file_text"), ()),
    "str_replace": (("path", "old_str"), ("new_str",)),
    "insert": (("path", "insert_line", "new_str"), ()),
    "undo_edit": (("path",), ()),
}
_OTHER_TOOLS = {"bash": ("command",), "submit": ()}  # required
_FILLED = ("command", "path", "old_str")  # must not be empty
_LINE = re.compile(r"\s*\d{1,7}\s*", re.ASCII)
_RANGE = re.compile(r"\s*\[?\s*(\d{1,7})\s*,\s*(-1|\d{1,7})\s*\]?\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Call:
    """A well-formed call; the arguments are as the tool needs them, the values still untrusted."""

    tool: str  # "bash" | "str_replace_editor" | "submit"
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not a call; `reason` tells the model what to change."""

    reason: str


class _Fault(ValueError):
    """The reason of a `Malformed`."""


def parse(reply: str) -> Call | Malformed:
    """The one call of a reply."""
    try:
        return _call(reply)
    except _Fault as fault:
        return Malformed(str(fault))


def _call(reply: str) -> Call:
    if len(reply) > MAX_REPLY_CHARS:
        raise _Fault(f"The reply has {len(reply)} characters; {MAX_REPLY_CHARS} are allowed.")
    if "\0" in reply:
        raise _Fault("The reply holds a NUL character.")
    if _SUBMIT.fullmatch(reply):
        return Call("submit")
    opened, closed = reply.count(_OPEN), reply.count(_CLOSE)
    if opened != 1 or closed != 1:
        raise _Fault(f"The reply has {opened} '<function=' and {closed} '</function>'; exactly one call is needed.")
    match = _CALL.search(reply)
    body, _, _ = reply.partition(_CLOSE)
    if match is None or match.end() > len(body):
        raise _Fault("The call does not begin with <function=NAME> and end with </function>.")
    return Call(match[1], _checked(match[1], _arguments(body[match.end() :])))


def _arguments(body: str) -> dict[str, str]:
    arguments: dict[str, str] = {}
    position = 0
    while match := _PARAMETER.match(body, position):
        end = body.find(_PARAMETER_CLOSE, match.end())
        if end < 0:
            raise _Fault(f"<parameter={match[1]}> is not closed by </parameter>.")
        if match[1] in arguments:
            raise _Fault(f"The parameter {match[1]} is given twice.")
        arguments[match[1]] = body[match.end() : end].removeprefix("\n").removesuffix("\n")
        position = end + len(_PARAMETER_CLOSE)
    if body[position:].strip():
        raise _Fault("Between <function=...> and </function> only <parameter=NAME>...</parameter> is allowed.")
    return arguments


def _checked(tool: str, arguments: dict[str, str]) -> dict[str, str]:
    """The arguments as the tool needs them: line numbers as plain digits; the rest is text."""
    if tool == "str_replace_editor":
        arguments["command"] = command = arguments.get("command", "").strip()
        if command not in EDITOR_COMMANDS:
            raise _Fault(f"The editor's command is {command[:40]!r}; use one of {', '.join(EDITOR_COMMANDS)}.")
        required, optional = EDITOR_COMMANDS[command]
        required = ("command", *required)
    elif tool in _OTHER_TOOLS:
        required, optional = _OTHER_TOOLS[tool], ()
    else:
        raise _Fault(f"There is no tool {tool!r}; there are bash, str_replace_editor and submit.")
    if tool == "bash" and len(arguments.get("command", "")) > MAX_COMMAND_CHARS:
        raise _Fault(f"The command is longer than {MAX_COMMAND_CHARS} characters.")
    if missing := [name for name in required if not (arguments.get(name) if name in _FILLED else name in arguments)]:
        raise _Fault(f"{tool} needs the parameter {', '.join(missing)}.")
    if extra := [name for name in arguments if name not in (*required, *optional)]:
        raise _Fault(f"{tool} does not take the parameter {', '.join(extra)} here.")
    if "insert_line" in arguments:
        if not _LINE.fullmatch(arguments["insert_line"]):
            raise _Fault("insert_line must be a line number: 0 inserts at the beginning, N after line N.")
        arguments["insert_line"] = arguments["insert_line"].strip()
    if "view_range" in arguments:
        if not (match := _RANGE.fullmatch(arguments["view_range"])):
            raise _Fault("view_range must be two line numbers such as [1, 40]; [10, -1] shows to the end.")
        arguments["view_range"] = f"{match[1]},{match[2]}"
    return arguments


def render(tool: str, **arguments: str) -> str:
    """A call as text, the inverse of `parse`."""
    parts = "".join(f"<parameter={name}>\n{value}\n</parameter>\n" for name, value in arguments.items())
    return f"<function={tool}>\n{parts}</function>"
