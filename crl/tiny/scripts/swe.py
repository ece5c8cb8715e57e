"""The script of repair as multiple choice: what is tested, looked at and submitted."""

import numpy as np

from crl.tiny.scripts.script import SkillScript, Strategy, Words
from crl.tiny.slots.swe import ACTIONS, GOAL, LETTERS, words


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


SKILLS = {
    "test_first": Strategy("test each edit undo what fails", test_first),
    "look_then_test": Strategy("look then test and undo failures", look_then_test),
    "accept_some": Strategy("submit when some tests pass", accept_some),
    "second_try": Strategy("test one edit then guess", second_try),
    "submit_untested": Strategy("submit any edit without test", submit_untested),
    "submit_unchanged": Strategy("submit at once without edit", submit_unchanged),
    "keep_failing": Strategy("submit what the tests refuse", keep_failing),
}


def script(level: str) -> SkillScript:
    """The same on every level."""
    return SkillScript(words(), (GOAL,), ACTIONS, SKILLS, spontaneous=("submit_untested", "second_try"))
