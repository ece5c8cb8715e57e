"""What the agent is told: the tools, and what came of a call."""

from crl.sandbox import CommandResult

MAX_TEXT_CHARS = 10_000  # of one observation, about 2,500 tokens: its head and its tail

MANUAL = """\
You repair a Python repository in /testbed so that the reported problem is gone. Hidden tests decide; do not edit tests,
conftest.py, pytest.ini, pyproject.toml, setup.cfg, setup.py or tox.ini: such a patch is refused. There is no network.
You have {steps} steps.

The tools and their parameters:
bash: command. It runs in a new shell in /testbed; nothing keeps running after the call.
str_replace_editor: command, path, and what the command takes besides:
  view: view_range, such as [1, 40], unless you want all of it
  create: file_text
  str_replace: old_str, new_str. old_str must occur exactly once
  insert: insert_line, new_str. It is put after that line
  undo_edit: nothing
submit: none. It ends the episode; the changes of the repository are graded.

Every reply ends with exactly one call of a tool, each parameter in tags of its own. Two examples:

<function=bash>
<parameter=command>
grep -rn "def parse" .
</parameter>
</function>

<function=str_replace_editor>
<parameter=command>
view
</parameter>
<parameter=path>
/testbed/README.md
</parameter>
</function>"""


def bounded(text: str) -> str:
    """The head and the tail of a long text."""
    if len(text) <= MAX_TEXT_CHARS:
        return text
    half = MAX_TEXT_CHARS // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def shown(run: CommandResult, limit_s: float) -> str:
    """The result of a call as the agent reads it."""
    text = bounded(run.output.rstrip("\n")) or "(no output)"
    if run.timed_out:
        return f"{text}\n[killed after {limit_s:g} seconds]"
    return text if run.exit_code == 0 else f"{text}\n[exit code {run.exit_code}]"
