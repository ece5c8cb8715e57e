"""What a text must not carry into the world: secrets, addresses of people, places on somebody's machine."""

import re
from collections.abc import Iterator

# A tokenizer's settings name tokens by eos_token and the like.
_NAME = (
    r"(?i:(?<![A-Za-z])(?:password|passwd|passphrase|pwd|secret|(?<!_)token|(?:access|auth|api|hf|refresh|session)[_-]?token"
    r"|api[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key)(?![A-Za-z]))"
)
_KINDS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----",
    "an access token": r"\b(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{16,}|[sr]k_(?:live|test)_\w{10,}|gh[opsur]_[A-Za-z0-9]{20,}"
    r"|github_pat_\w{20,}|glpat-[\w-]{16,}|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{16,}|xox[abprs]-[\w-]{10,}|xapp-[\w-]{10,}"
    r"|A[KS]IA[0-9A-Z]{16}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,})|hooks\.slack\.com/services/\S+"
    r"|\b(?i:bearer|basic)[ \t]+(?=[\w+/=.~-]*\d)[\w+/=.~-]{16,}",
    # Behind "=" anything but a piece of code, such as settings.KEY; behind ":" what is no plain word, since advice is prose.
    "a password": _NAME + r"(?:_\w+)?[\"']?[ \t]*(?:=[ \t]*[\"']?(?![A-Za-z_]\w*[.(\[])[^\s\"'=]{6,}"
    r"|:[ \t]*[\"']?(?=\S*[^\sA-Za-z\"'.,;:!?])[^\s\"']{6,})|[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@",
    "an e-mail address": r"\b(?!git@)[A-Za-z0-9][\w.+-]*@(?:[A-Za-z0-9-]{2,}\.)+[A-Za-z]{2,}\b",
    # "/", /testbed and /tmp are no one's; "\" stands in maps of dungeons.
    "a path of a machine": r"(?<![\w.])/(?:home|Users|root|mnt|media|scratch|export/home)/[\w.-]+|~/\.?\w[\w.-]*|file://\S+"
    r"|\b[A-Za-z]:\\{1,2}\w[\w .-]*\\|\b[A-Z]:\\{1,2}[A-Za-z][\w.-]+|(?<!\\)\\\\[A-Za-z][\w.-]+\\\w+",
    # Of the ranges that stand behind a router; other numbers of four parts may be a version's.
    "an address in a network": r"\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b(?!\.\d)",
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
