"""Scripted play: the oracle, attempts of seeded and varied skill, and the players of the `slots` style.

None of these is a language model. `scripted_attempt` peeks at the reference repair: it stands in for a model of some skill where
none can be run, so that the pass@16 stage has a real histogram to filter.
"""

import base64
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crl.envs.contract import Observation
from crl.envs.family import Skill, SkillScript
from crl.envs.swe.instances import Instance, from_payload
from crl.envs.swe.local.recipe import Candidate
from crl.envs.swe.tools import render
from crl.seeding import stream
from crl.tiny.slots.swe import ACTIONS, GOAL, LETTERS, words
from crl.types import Task

SUBMIT = render("submit")
_LINES_PER_CALL = 250  # of 76 characters: well below what one command may hold


def solution(task: Task) -> tuple[str, ...]:
    """Grid actions that solve the task, from its reference repair."""
    instance = from_payload(task.payload)
    if instance.candidates:
        return (*_edits(instance.candidates[0]), SUBMIT)
    return (*_apply(instance), SUBMIT)


def scripted_attempt(task: Task, attempt_seed: int, skill: float) -> tuple[str, ...]:
    """Grid actions of one attempt by the scripted policy, on a task of the local set: the repair or a wrong edit, then submit.

    `skill` in [0, 1]. The chance of the repair falls with the task's difficulty and varies from task to task.
    """
    instance = from_payload(task.payload)
    chance = success_chance(instance, skill)
    rng = stream("swe", "attempt", instance.id, attempt_seed)
    right = rng.random() < chance
    wrong = 1 + int(rng.integers(len(instance.candidates) - 1))
    return (*_edits(instance.candidates[0 if right else wrong]), SUBMIT)


def success_chance(instance: Instance, skill: float) -> float:
    """Logistic in skill and difficulty; the last term makes tasks of one difficulty differ (one logit either way)."""
    own = 2 * stream("swe", "chance", instance.id).random() - 1
    return 1 / (1 + math.exp(-(6 * (skill - 0.5) + 1.2 * (2.5 - (instance.difficulty or 2.5)) + own)))


def _edits(candidate: Candidate) -> tuple[str, ...]:
    return tuple(
        render(
            "str_replace_editor",
            command="str_replace",
            path=f"/testbed/{edit.path}",
            old_str=edit.old,
            new_str=edit.new,
        )
        for edit in candidate
    )


def _apply(instance: Instance) -> tuple[str, ...]:
    """The patch in base64, since it may hold what would end a call; long ones in several calls."""
    text = textwrap.wrap(base64.b64encode(instance.patch.encode()).decode(), 76)
    parts = ["\n".join(text[start : start + _LINES_PER_CALL]) for start in range(0, len(text), _LINES_PER_CALL)]
    writes = tuple(render("bash", command=f"cat >> /tmp/repair.b64 <<'END'\n{part}\nEND") for part in parts)
    return (*writes, render("bash", command="base64 -d /tmp/repair.b64 | git apply -"))


Words = dict[str, str]
Rule = Callable[[Words, np.random.Generator], str]


@dataclass(frozen=True, slots=True)
class ScriptedChooser:
    """Plays one episode by a rule over the words of the sentence."""

    rule: Rule
    rng: np.random.Generator

    def act(self, observation: Observation) -> str:
        return self.rule(dict(word.split(":") for word in observation.text.split()), self.rng)


def _pick(words: Words, rng: np.random.Generator, mark: str = "new") -> str:
    """A random candidate with this mark; any where there is none."""
    fit = [letter for letter in LETTERS if words[letter] == mark] or list(LETTERS)
    return f"edit_{fit[int(rng.integers(len(fit)))]}"


def test_first(words: Words, rng: np.random.Generator) -> str:
    """The good one: test every edit, undo what fails, submit what passes."""
    if words["edit"] == "none":
        return _pick(words, rng)
    return {"unknown": "test", "pass": "submit"}.get(words["test"], "undo")


def look_then_test(words: Words, rng: np.random.Generator) -> str:
    """As good, with a look at each edit."""
    if words["edit"] != "none" and words["diff"] == "unseen":
        return "look"
    return test_first(words, rng)


def accept_some(words: Words, rng: np.random.Generator) -> str:
    """Tests, but is content with a part."""
    return "submit" if words["test"] == "some" else test_first(words, rng)


def second_try(words: Words, rng: np.random.Generator) -> str:
    """Tests the first edit only; the second is submitted as it is."""
    if words["edit"] == "none":
        return _pick(words, rng)
    tested = any(words[letter] in ("fail", "some") for letter in LETTERS)
    if words["test"] == "unknown":
        return "submit" if tested else "test"
    return "submit" if words["test"] == "pass" else "undo"


def submit_untested(words: Words, rng: np.random.Generator) -> str:
    """Any edit, no test."""
    return _pick(words, rng) if words["edit"] == "none" else "submit"


def submit_unchanged(words: Words, rng: np.random.Generator) -> str:
    """Harmful: gives up at once."""
    return "submit"


def keep_failing(words: Words, rng: np.random.Generator) -> str:
    """Harmful: submits what has just failed."""
    if words["edit"] == "none":
        return _pick(words, rng)
    return {"unknown": "test", "pass": "undo"}.get(words["test"], "submit")


SKILLS: dict[str, Skill] = {
    name: Skill(phrase, lambda rng, rule=rule: ScriptedChooser(rule, rng))
    for name, (phrase, rule) in {
        "test_first": ("test each edit undo what fails", test_first),
        "look_then_test": ("look then test and undo failures", look_then_test),
        "accept_some": ("submit when some tests pass", accept_some),
        "second_try": ("test one edit then guess", second_try),
        "submit_untested": ("submit any edit without test", submit_untested),
        "submit_unchanged": ("submit at once without edit", submit_unchanged),
        "keep_failing": ("submit what the tests refuse", keep_failing),
    }.items()
}


def script() -> SkillScript:
    return SkillScript(words(), (GOAL,), ACTIONS, SKILLS, ("submit_untested", "second_try"))
