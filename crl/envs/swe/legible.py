"""An instance and the log of its tests, put so that the harness (swebench 5.0.2) reads pytest's verdicts right.

Its parsers take a verdict's second word for the test's name: a name with a blank in it is never found, so the test never
passes. They do not know the lines of failed subtests, beside which pytest 9 still says PASSED of a `unittest` test; and a test that
failed as expected counts as passed, which no repair asks for. Here names with blanks get others, in instance and log, and a line
is added for each test that failed in such a way. No line is added for a test that the log does not name whole.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from crl.envs.swe.instances import Instance

START, END = ">>>>> Start Test Output", ">>>>> End Test Output"
COLOUR = re.compile(r"\x1b\[[\d;]*m")
_VERDICT = re.compile(r"(PASSED|FAILED|FAIL|ERROR|XFAIL|XPASS) (.+)")
_SUBTEST = "SUBFAIL"  # `SUBFAILED[message] (values) NAME - why` (pytest 9), `[message] (values) SUBFAIL NAME - why` (its plugin)
_REASON = " - "
_WORD = re.compile(r"\S+")


def legible(instance: Instance, log: str) -> tuple[Instance, str]:
    """Both as the harness reads them right, for tests that pytest runs. The log is untrusted: time is linear in its length."""
    names = [name for name in (*instance.fail_to_pass, *instance.pass_to_pass) if "::" in name]
    aliases = {name: _alias(name, number) for number, name in enumerate(names) if len(name.split()) > 1}
    lines = [COLOUR.sub("", line) for line in log.split("\n")]
    verdicts = _verdicts(lines, names, aliases)
    failed = set(_with_failed_subtests(lines, names))
    if "xfail" not in instance.test_patch:  # what a repair makes pass is no test that is expected to fail
        failed.update(name for name in instance.fail_to_pass if verdicts.get(name) == {"XFAIL"})
    added = [
        f"{'FAILED' if name in failed or not verdicts[name] <= {'PASSED', 'XFAIL'} else 'PASSED'} {aliases.get(name, name)}\n"
        for name in dict.fromkeys(names)
        if name in failed or (name in aliases and name in verdicts)
    ]
    at = log.rfind("\n", 0, max(log.find(END), 0)) + 1
    renamed = {
        column: tuple(aliases.get(name, name) for name in getattr(instance, column))
        for column in ("fail_to_pass", "pass_to_pass")
    }
    return instance.model_copy(update=renamed), log[:at] + "".join(added) + log[at:]


def _alias(name: str, number: int) -> str:
    """Another name for a test of the same file, without blanks and brackets, which the parsers rewrite."""
    return f"{'_'.join(name.partition('::')[0].split())}::{number}"


def _verdicts(lines: Sequence[str], names: Sequence[str], aliases: Mapping[str, str]) -> Mapping[str, set[str]]:
    """The different verdicts on each name: on one with blanks by all of it, on others by the first word, as the harness reads."""
    plain, longest = set(names) - aliases.keys(), max(map(len, aliases), default=0)
    verdicts: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        if match := _VERDICT.match(line):
            verdict, rest = match.groups()
            if (word := rest.split(maxsplit=1)[:1]) and word[0] in plain:
                verdicts[word[0]].add(verdict)
            rest = rest[: longest + len(_REASON)]
            while rest and rest not in aliases:  # names may hold " - ", too: the longest one counts
                rest = "" if verdict == "PASSED" else rest.rpartition(_REASON)[0]
            if rest:
                verdicts[rest].add(verdict)
    return verdicts


def _with_failed_subtests(lines: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """The tests that lines of failed subtests name, in front of the reason or in it: who writes the reason may fail, not pass."""
    known, lengths = set(names), defaultdict(set)  # lengths: of the names that begin with a word
    for name in names:
        lengths[name.split()[0]].add(len(name))
    for line in lines:
        _, mark, told = line.partition(_SUBTEST)
        for word in _WORD.finditer(told) if mark else ():
            ends = (word.start() + length for length in lengths.get(word[0], ()))
            found = (told[word.start() : end] for end in ends if told[end : end + 1] in ("", " "))
            yield from known.intersection(found)
