"""The script of repair as multiple choice: what is tested, looked at and submitted."""

from collections.abc import Mapping

import numpy as np

from crl.seeding import pick
from crl.tiny.scripts.script import Rule, Script, Strategy, Words
from crl.tiny.slots.swe import ACTIONS, GOAL, LETTERS, words


def by_result(answers: Mapping[str, str], otherwise: str) -> Rule:
    """Any edit not tried yet (any at all where there is none); then what answers its test result."""

    def rule(words: Words, rng: np.random.Generator) -> str:
        if words["edit"] == "none":
            return f"edit_{pick([letter for letter in LETTERS if words[letter] == 'new'] or LETTERS, rng)}"
        return answers.get(words["test"], otherwise)

    return rule


test_first = by_result({"unknown": "test", "pass": "submit"}, otherwise="undo")
_guess = by_result({}, otherwise="submit")


def look_then_test(words: Words, rng: np.random.Generator) -> str:
    """With a look at each edit."""
    if words["edit"] != "none" and words["diff"] == "unseen":
        return "look"
    return test_first(words, rng)


def accept_some(words: Words, rng: np.random.Generator) -> str:
    """Tests, but is content with a part."""
    return "submit" if words["test"] == "some" else test_first(words, rng)


def second_try(words: Words, rng: np.random.Generator) -> str:
    """Tests the first edit only; the second is submitted as it is."""
    tested = any(words[letter] in ("fail", "some") for letter in LETTERS)
    return (_guess if words["test"] == "unknown" and tested else test_first)(words, rng)


SKILLS = {
    # Good: tests every edit, undoes what fails, submits what passes.
    "test_first": Strategy("test each edit undo what fails", test_first),
    "look_then_test": Strategy("look then test and undo failures", look_then_test),
    "accept_some": Strategy("submit when some tests pass", accept_some),
    "second_try": Strategy("test one edit then guess", second_try),
    "submit_untested": Strategy("submit any edit without test", _guess),
    # Harmful: gives up at once.
    "submit_unchanged": Strategy("submit at once without edit", lambda words, rng: "submit"),
    # Harmful: submits what has just failed.
    "keep_failing": Strategy("submit what the tests refuse", by_result({"unknown": "test", "pass": "undo"}, "submit")),
}


def script(level: str) -> Script:
    """The same on every level."""
    return Script(words(), (GOAL,), ACTIONS, SKILLS, spontaneous=("submit_untested", "second_try"))
