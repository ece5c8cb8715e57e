"""What a text must not carry into the world: secrets, addresses of people, places on somebody's machine."""

import re
from collections.abc import Iterator

_KINDS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "an access token": r"\b(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{16,}|gh[opsur]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
    r"|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,})",
    "a password": r"(?i:\b(?:password|passwd|secret|api[_-]?key|access[_-]?token)\b[\"']?[ \t]*[:=][ \t]*[\"']?[^\s\"']{6,})"
    r"|[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@",
    "an e-mail address": r"\b[A-Za-z0-9][\w.+-]*@(?:[A-Za-z0-9-]{2,}\.)+[A-Za-z]{2,}\b",
    # "/" and /testbed are no one's; "\" stands in maps of dungeons.
    "a path of a machine": r"(?<![\w.])/(?:home|Users|root|mnt|media)/[\w.-]+|file://\S+|\b[A-Za-z]:\\{1,2}\w[\w .-]*\\",
}
_PRIVATE = re.compile("|".join(f"(?P<k{at}>{pattern})" for at, pattern in enumerate(_KINDS.values())))
_NAMES = dict(zip((f"k{at}" for at in range(len(_KINDS))), _KINDS, strict=True))
_SHOWN = 5  # characters: enough to find it, too few to use it


def private(text: str) -> Iterator[str]:
    """Each place with something private: its kind, its beginning, its line and column."""
    for found in _PRIVATE.finditer(text):
        before = text[: found.start()]
        column = found.start() - before.rfind("\n")
        yield f"{_NAMES[found.lastgroup]} ({found[0][:_SHOWN]}…) at {before.count(chr(10)) + 1}:{column}"
