"""Whether a patch resolves an instance: its tests run in a fresh container, judged by the official harness and our own checks.

The harness (swebench 5) believes the log of the test run. Ours on top, for runs of pytest: the summary of each of the
script's pytest calls, with at least the expected number of passed tests, no pass of an expected test after its failure, and
an exit code of the test command that agrees. They close the hole of a run that ends itself early with a forged log.
"""

import re
import tempfile
from dataclasses import dataclass
from typing import Any

from crl.config.sandbox import SandboxConfig
from crl.envs.swe.harness import read_as_pytest
from crl.envs.swe.instances import Instance
from crl.envs.swe.legible import END, START, legible
from crl.envs.swe.patches import refusal
from crl.envs.swe.pytest_log import contradiction
from crl.envs.swe.tree import WORKDIR
from crl.envs.swe.workspace import Unreadable, open_container, place_base, read_file
from crl.sandbox import Sandbox, SandboxBroken, export_tree

_LOG = "/tmp/test_output.log"
_APPLY_FAILED = ">>>>> Patch Apply Failed"
_EXIT = ">>>>> Test Exit Code"
_AFTER_GRADING_S = 30.0  # for stopping the tests and reading their log


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict on a patch."""

    resolved: bool
    score: float  # share of FAIL_TO_PASS that passes; 0 when the run says nothing
    reason: str  # for people
    refused: bool = False  # the patch was not run


def grade(instance: Instance, patch: str, config: SandboxConfig) -> Grade:
    """The verdict on an untrusted patch. Raises SandboxError when the infrastructure fails, which is no verdict."""
    if not patch.strip():
        return Grade(False, 0.0, "The patch is empty.")
    if reason := refusal(patch, instance):
        return Grade(False, 0.0, f"The patch is refused: {reason}.", refused=True)
    sandbox = open_container(config, instance)
    try:
        if instance.files:
            place_base(sandbox, instance, config)
        else:  # with its history: the official scripts check out files of the base commit by name
            sandbox.put_tree(export_tree(instance.image, WORKDIR))
        return judge(instance, patch, run_tests(sandbox, instance, config, patch))
    except SandboxBroken:
        return Grade(False, 0.0, "The tests made their container unusable.")
    finally:
        sandbox.close()


def run_tests(sandbox: Sandbox, instance: Instance, config: SandboxConfig, patch: str = "") -> str:
    """The log of the instance's tests, run on what stands in the container, after applying a patch if one is given."""
    first = patch.encode()
    apply = (
        f"git apply --verbose /tmp/patch.diff > {_LOG} 2>&1 || {{ echo '{_APPLY_FAILED}' >> {_LOG}; exit; }}; "
        if patch
        else ""
    )
    command = (
        f"head -c {len(first)} > /tmp/patch.diff; cat > /tmp/eval.sh; {apply}"
        f"timeout -s KILL {config.grading_timeout_s:g} bash /tmp/eval.sh > {_LOG} 2>&1 < /dev/null; "
        f"[ $? = 137 ] && echo '>>>>> Tests Timed Out' >> {_LOG}; rm -f /tmp/eval.sh"
    )
    script = _spec(instance).eval_script.encode()
    sandbox.run(command, timeout_s=config.grading_timeout_s + _AFTER_GRADING_S, stdin=first + script)
    try:
        return read_file(sandbox, _LOG, config).decode(errors="replace")
    except Unreadable:
        return ""


def judge(instance: Instance, patch: str, log: str) -> Grade:
    """The harness's verdict on a log, unless our own checks contradict it."""
    if _APPLY_FAILED in log:
        return Grade(False, 0.0, "The patch does not apply to the base commit.")
    if read_as_pytest(instance):
        instance, log = legible(instance, log)
    report = _report(instance, patch, log)
    tests = report.get("tests_status")
    if tests is None:
        late = (
            "The tests did not end in time." if ">>>>> Tests Timed Out" in log else "The test run gave no usable log."
        )
        return Grade(False, 0.0, late)
    if reason := _forged(instance, log):
        return Grade(False, 0.0, f"The log of the tests is not accepted: {reason}.")
    passed, failed = (len(tests["FAIL_TO_PASS"][key]) for key in ("success", "failure"))
    broken = len(tests["PASS_TO_PASS"]["failure"])
    score = passed / (passed + failed) if passed + failed else 1.0
    told = f"{passed} of {passed + failed} failing tests pass now, {broken} passing ones fail."
    return Grade(bool(report["resolved"]), score, told)


def _forged(instance: Instance, log: str) -> str:
    """Why the log cannot be that of an honest run; "" when nothing speaks against it."""
    # A second one would hide from the harness what stands behind it. `set -x` and `echo` write one line each.
    for marker in (START, END):
        if "\n" in log[log.find(marker) : log.rfind(marker)].partition("\n")[2]:
            return "the marks around the tests' output stand there twice"
    if len(codes := re.findall(rf"^{_EXIT}: (\d+)$", log, re.MULTILINE)) != 1:
        return "the test command's exit code is not told exactly once"
    calls = _pytest_calls(instance.eval_script)
    if not calls:
        return ""  # another runner: the harness judges alone
    inside = log.partition(START)[2].rpartition(END)[0]
    expected = {*instance.fail_to_pass, *instance.pass_to_pass}
    return contradiction(inside, calls=calls, exit_code=int(codes[0]), expected=expected)


def _pytest_calls(script: str) -> int:
    """How often the test part of an eval script runs pytest."""
    inside = script.partition(START)[2].partition(END)[0]
    return len(re.findall(r"^[^#\n]*\b(?:pytest|py\.test)\b", inside, re.MULTILINE))


def _report(instance: Instance, patch: str, log: str) -> dict[str, Any]:
    from swebench.harness.grading import get_eval_report

    prediction = {"instance_id": instance.id, "model_name_or_path": "crl", "model_patch": patch}
    with tempfile.NamedTemporaryFile("w", suffix=".log", errors="replace") as file:  # the harness reads a file
        file.write(log)
        file.flush()
        return get_eval_report(_spec(instance), prediction, file.name, include_tests_status=True)[instance.id]


def _spec(instance: Instance):
    """The harness's test specification. The harness records the exit code in its copy of the script."""
    from swebench.harness.utils import make_test_spec

    return make_test_spec(instance.row())
