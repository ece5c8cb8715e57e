"""Compare version numbers such as 1.10.2 and 2.0rc1."""

import re

_VERSION = re.compile(r"(\d+(?:\.\d+)*)(?:(a|b|rc)(\d+))?")


def sort_key(version):
    match = _VERSION.fullmatch(version)
    if not match:
        raise ValueError(f"not a version: {version!r}")
    numbers = tuple(int(part) for part in match[1].split("."))
    if match[2] is None:
        return numbers, ("release", 0)
    return numbers, (match[2], int(match[3]))


def newest(versions):
    return max(versions, key=sort_key)
