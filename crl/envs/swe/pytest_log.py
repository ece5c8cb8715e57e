"""Whether a log of pytest can be that of an honest run: it must agree with itself and with the exit code.

A run ends with a verdict per test (`-rA`) and a summary. Tests of pytest plugins run pytest inside: such sessions print
verdicts and summaries, too, but among captured output, and they name no file of the tests that are graded.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

# "subtests": pytest 9; "pytest-warnings" and "seconds": up to 3.0 and 5.0.
_COUNT = r"\d+ (?:subtests )?(?:passed|failed|errors?|skipped|xfailed|xpassed|deselected|(?:pytest-)?warnings?|reruns?)"
_LINE = re.compile(
    rf"^(?:(?:=+ )?(?P<summary>{_COUNT}(?:, {_COUNT})*) in \d+\.\d+(?:s| seconds)"
    r"|-+ (?P<captured>Captured) \w+(?: \w+)? -+$"
    r"|=+ (?P<passes>PASSES) =+$"
    r"|(?P<verdict>PASSED|FAILED|FAIL|ERROR|SKIPPED|XFAIL|XPASS) (?:\[\d+\] )?(?P<name>\S+))",
    re.MULTILINE,
)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_PASSES, _FAILS = {"PASSED", "XFAIL"}, {"FAILED", "FAIL", "ERROR"}


@dataclass(frozen=True, slots=True)
class _Summary:
    text: str
    named: bool  # verdicts on files of the graded tests stand above it
    captured: bool  # captured output stands above it


def contradiction(log: str, *, calls: int, exit_code: int, expected: Iterable[str]) -> str:
    """What speaks against the part of a log that `calls` calls of pytest wrote; "" when nothing does."""
    tests = {
        name for name in expected if "::" in name
    }  # SWE-bench also lists names such as "[100%]", which are no tests
    summaries, verdicts = _read(_COLOUR.sub("", log), {name.partition("::")[0] for name in tests})
    own = [one for one in summaries if one.named or not one.captured] or summaries[-1:]
    if len(own) != calls and len(summaries) == calls:
        own = summaries
    if len(own) != calls:
        return f"{len(own)} summaries of pytest instead of {calls}"
    counts = _counts(own)
    if (counts["failed"] + counts["error"] == 0) != (exit_code == 0):
        return f"the exit code is {exit_code} with {counts['failed']} failed tests"
    for name in sorted(tests & verdicts.keys()):
        # Names are cut at a blank, as the harness cuts them: cases of one test may share one. Failures are listed last.
        if verdicts[name][-1] in _PASSES and _FAILS & set(verdicts[name]):
            return f"{name} has two verdicts"
    told = sum(_PASSES.issuperset(verdicts[name]) for name in tests & verdicts.keys())
    if counts["passed"] + counts["xfailed"] < told:
        return f"{counts['passed']} tests passed by the summary, {told} by their names"
    return ""


def _read(log: str, files: set[str]) -> tuple[list[_Summary], dict[str, list[str]]]:
    """The summaries, and the verdicts by name, each in the log's order."""
    summaries: list[_Summary] = []
    verdicts: dict[str, list[str]] = defaultdict(list)
    captured = named = early = False
    for line in _LINE.finditer(log):
        if line["name"]:
            verdicts[line["name"]].append(line["verdict"])
            named |= line["name"].partition(":")[0] in files
        elif line["captured"]:
            captured = True
        elif line["passes"]:  # pytest up to 4 lists the verdicts before the captured output of tests that passed
            early, named = early or named, False
        else:
            summaries.append(_Summary(line["summary"], named, captured))
            captured, named = captured and not named, False
    if early and summaries:
        summaries[-1] = _Summary(summaries[-1].text, True, True)
    return summaries, verdicts


def _counts(summaries: Iterable[_Summary]) -> dict[str, int]:
    """How many tests passed, failed, ...; a subtest counts where it fails alone."""
    counts: dict[str, int] = defaultdict(int)
    for number, part, word in re.findall(r"(\d+) (subtests )?(\w+)", ", ".join(one.text for one in summaries)):
        if not part or word == "failed":
            counts["error" if word == "errors" else word] += int(number)
    return counts
