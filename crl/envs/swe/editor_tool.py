"""The file editor that runs inside the container: `python3 editor_tool.py`, arguments as a JSON object on standard input.

It is copied there as text, so it stands alone and keeps to Python 3.6. Exit code 1 with a message when it cannot do what was
asked; then no file has changed.
"""

import hashlib
import json
import os
import sys

UNDO = "/tmp/.editor_undo"
CONTEXT = 4  # lines shown around an edit
DEPTH = 2  # of a folder's listing
MAX_BYTES = 1000000


class Fault(Exception):
    """What the model asked for cannot be done."""


def main():
    arguments = json.load(sys.stdin)
    path = os.path.join("/testbed", arguments["path"].strip())
    try:
        text = COMMANDS[arguments["command"]](path, arguments)
    except Fault as fault:
        text, code = f"Error: {fault}", 1
    except OSError as error:
        text, code = f"Error: {path}: {error.strerror}", 1
    else:
        code = 0
    sys.stdout.buffer.write((text + "\n").encode("utf-8", "replace"))
    sys.exit(code)


def view(path, arguments):
    if os.path.isdir(path):
        return "\n".join(_listing(path))
    lines = _read(path).split("\n")
    if lines[-1] == "":
        lines.pop()
    first, last = 1, len(lines)
    if "view_range" in arguments:
        first, last = (int(part) for part in arguments["view_range"].split(","))
        last = len(lines) if last == -1 else min(last, len(lines))
        if not 1 <= first <= max(last, 1):
            raise Fault(f"the file has {len(lines)} lines")
    return _numbered(lines, first, last)


def create(path, arguments):
    if os.path.exists(path):
        raise Fault(f"{path} exists already; edit it with str_replace or insert")
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder)
    text = arguments["file_text"]
    _write(path, text if text.endswith("\n") or not text else text + "\n", None)
    return f"Created {path}."


def str_replace(path, arguments):
    text, old, new = _read(path), arguments["old_str"], arguments.get("new_str", "")
    count = text.count(old)
    if count != 1:
        raise Fault(f"old_str occurs {count} times in {path}; it must occur exactly once")
    changed = text.replace(old, new)
    _write(path, changed, text)
    first = text[: text.index(old)].count("\n") + 1
    return _after_edit(path, changed, first, first + new.count("\n"))


def insert(path, arguments):
    text, at = _read(path), int(arguments["insert_line"])
    lines = text.split("\n")
    count = len(lines) - (lines[-1] == "")
    if at > count:
        raise Fault(f"the file has {count} lines")
    new = arguments["new_str"].split("\n")
    changed = "\n".join(lines[:at] + new + lines[at:])
    _write(path, changed, text)
    return _after_edit(path, changed, at + 1, at + len(new))


def undo_edit(path, arguments):
    backups = _backups(path)
    if not backups:
        raise Fault(f"there is no edit of {path} to undo")
    with open(backups[-1], encoding="utf-8", newline="") as file:
        kind, text = file.read(1), file.read()
    if kind == "-":
        os.remove(path)
    else:
        _put(path, text)
    os.remove(backups[-1])
    return f"The last edit of {path} is undone."


COMMANDS = {"view": view, "create": create, "str_replace": str_replace, "insert": insert, "undo_edit": undo_edit}


def _read(path):
    if os.path.isdir(path):
        raise Fault(f"{path} is a folder")
    if os.path.getsize(path) > MAX_BYTES:
        raise Fault(f"{path} is larger than {MAX_BYTES} bytes")
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise Fault(f"{path} is not UTF-8 text") from error


def _write(path, text, before):
    """Write, with a backup of what was there (None: nothing)."""
    if not os.path.isdir(UNDO):
        os.makedirs(UNDO)
    _put(f"{UNDO}/{_key(path)}.{len(_backups(path)):06d}", "-" if before is None else "+" + before)
    _put(path, text)


def _put(path, text):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def _backups(path):
    if not os.path.isdir(UNDO):
        return []
    return [os.path.join(UNDO, name) for name in sorted(os.listdir(UNDO)) if name.startswith(_key(path))]


def _key(path):
    return hashlib.sha256(os.path.normpath(path).encode("utf-8", "replace")).hexdigest()[:16]


def _after_edit(path, text, first, last):
    lines = text.split("\n")
    shown = _numbered(lines, max(first - CONTEXT, 1), min(last + CONTEXT, len(lines)))
    return f"Edited {path}:\n{shown}"


def _numbered(lines, first, last):
    return "\n".join(f"{number:6d}\t{lines[number - 1]}" for number in range(first, last + 1)) or "(empty file)"


def _listing(path):
    found = []
    base = path.rstrip("/").count("/")
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        found += [os.path.join(folder, name) for name in sorted(files) if not name.startswith(".")]
        found += [os.path.join(folder, name) + "/" for name in folders]
        if folder.rstrip("/").count("/") - base + 1 >= DEPTH:
            del folders[:]
    return sorted(found)


if __name__ == "__main__":
    main()
