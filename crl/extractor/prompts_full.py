"""The extractor's prompts for pretrained instruct models. Roles, fields and machine formats: method 8.1, 8.2, 8.4."""

from collections.abc import Sequence

from crl.extractor.transcript import transcript
from crl.models.chat import Message
from crl.types import Episode

_SCALE = """\
Generality, from 1 to 5:
  1  true of this one instance only (a coordinate, a name, a fixed sequence of moves)
  2  true of instances that look almost the same
  3  true of the whole family of tasks
  4  true of other families that share the same mechanism
  5  a principle of acting under uncertainty
Every entry must reach at least 3."""

_CONTENT = """\
What a useful entry says:
  - when it applies: the signals in an observation by which a reader recognises the situation;
  - what to do: a short sequence of actions or decisions, in words that fit any instance;
  - if-then branches: what to do when the expected signal does not come, and a fallback at the end;
  - what not to do, and what it costs.
Guard against overfitting:
  - state evidence, not faith: nothing holds "always" or "never" because of one episode;
  - no fixed order of moves, no coordinates, no names that only this instance has;
  - tie every piece of advice to something that can be observed;
  - for exploration, say how to keep track of what was already tried."""

_ENTRY = "<title>what it is about, in one line</title><content>the advice itself</content>"

_DISTIL_SYSTEM = """\
You turn the episodes of an agent into experience that makes later episodes succeed more often. You maintain a bank of
experience entries; a later agent is shown one entry at the start of a related task, before it acts.

You are given: the task and its goal, the outcome of one finished episode{given}.

{scale}

{content}

You may use at most {max_operations} of these operations:
  add     store a new entry                  parameters: "new_memory" (text)
{update}  return  store nothing (more)               no parameters
{prefer}Use `return` when the episode teaches nothing{new}. An entry has the form
{entry}

First think: What decided the outcome? Which signal could have told the agent earlier? What would a different instance
of the task need? Then test each entry: Could a reader act on it at once? Does it carry over to another instance? Could
it mislead, and under which condition?

Then give one JSON list inside <answer> tags, with nothing else inside. Write line breaks in texts as \\n. For example:
<answer>
[
{example}
]
</answer>
or <answer>[{{"function_name": "return"}}]</answer>"""

# `update` is told of only where entries had been retrieved: an example is copied, so each must be a valid reply.
_NOTHING_RETRIEVED = {"given": " and its transcript", "update": "", "prefer": "", "new": ""}
_RETRIEVED = {
    "given": """, its transcript, and the numbered entries that
had been retrieved for it (the agent may or may not have been shown them)""",
    "update": """\
  update  replace entries by a better one    parameters: "target_idx" (list of entry numbers), "new_memory" (text)
""",
    "prefer": """\
Prefer `update` to `add` where a retrieved entry covers the same ground: correct it, sharpen it, or join several.
""",
    "new": " that is not there already",
}
_ADD_EXAMPLE = """\
  {"function_name": "add",
    "parameters": {"new_memory": "<title>...</title><content>...</content>"}}"""
_UPDATE_EXAMPLE = """\
  {"function_name": "update",
    "parameters": {"target_idx": [1], "new_memory": "<title>...</title><content>...</content>"}}"""

_DISTIL_USER = """\
Task: {task}
Goal: {goal}
Outcome: {outcome}

Transcript
----------
{transcript}
----------

Entries retrieved for this episode
{entries}

Think about what this episode teaches, then give your operations in <answer> tags."""

_MERGE_SYSTEM = """\
You tidy a bank of experience entries for agents. From the numbered entries you make fewer and stronger ones, without
losing what is right and useful in them.

{scale}

{content}

For each entry decide:
  merge    it overlaps or complements another: write one entry that holds both;
  rewrite  it is right but vague, too special or hard to act on: write it better;
  discard  it is wrong, empty or covered by another: leave it out.
Where entries contradict each other, name the condition under which each holds. If the entries are already distinct and
good, change nothing.

Think first. Then reply inside <answer> tags, with nothing but the entries, each between its two marks:
<answer>
<<<KNOWLEDGE_ITEM>>>
{entry}
<<<END_ITEM>>>
</answer>
The entries you write replace all those given, so never write more than were given.
To change nothing, reply <answer>return</answer>"""

_MERGE_USER = """\
Task: {scope}

{entries}

Think, then give the entries that shall replace these, or return, in <answer> tags."""

_ASK_SYSTEM = """\
You are the expert whom an agent asks when it is stuck in the middle of a task. You get its question and a piece of
knowledge that was looked up for it. Judge silently whether that knowledge fits; use what fits, and complete it from
what you know of such tasks. The agent does not see it: never mention it, and give guidance only.

Be concrete and brief: what to check first, what to do next, what to do if that fails. Think first, then put the
guidance inside <answer> tags."""

_ASK_USER = """\
Question: {query}

Knowledge
---------
{entry}
---------"""


class FullExtractorPrompts:
    """The prompt set `full`."""

    min_chars = 31  # method 3.4
    form = "tagged"

    def distil(
        self, episode: Episode, entries: Sequence[str], *, max_operations: int, last_turns: int | None
    ) -> list[Message]:
        examples = [_UPDATE_EXAMPLE, _ADD_EXAMPLE] if entries else [_ADD_EXAMPLE]
        system = _DISTIL_SYSTEM.format(
            scale=_SCALE, content=_CONTENT, entry=_ENTRY, max_operations=max_operations,
            example=",\n".join(examples[:max_operations]), **(_RETRIEVED if entries else _NOTHING_RETRIEVED),
        )  # fmt: skip
        user = _DISTIL_USER.format(
            task=episode.task.name,
            goal=episode.goal or "(see the transcript)",
            outcome=episode.outcome.value,
            transcript=transcript(episode, last_turns),
            entries=_numbered(entries),
        )
        return [Message("system", system), Message("user", user)]

    def merge(self, scope: str, entries: Sequence[str]) -> list[Message]:
        system = _MERGE_SYSTEM.format(scale=_SCALE, content=_CONTENT, entry=_ENTRY)
        return [Message("system", system), Message("user", _MERGE_USER.format(scope=scope, entries=_numbered(entries)))]

    def ask(self, query: str, entry: str) -> list[Message]:
        return [Message("system", _ASK_SYSTEM), Message("user", _ASK_USER.format(query=query, entry=entry))]


def _numbered(entries: Sequence[str]) -> str:
    return "\n".join(f"{number}. {entry}" for number, entry in enumerate(entries, 1)) or "(none)"
