"""The line of champions: which versions of the registered agent served, in order; the last one serves.

The line is one tag of the registered model, so a promotion and a rollback are one write each: before it the old champion
stands, after it the new one. The aliases `champion` and `former` follow the line, and a second tag says that they have done so.
A kill between the two leaves them at the old champion, a whole agent, and the next command that looks brings them after the line.
Where they had followed, whoever moved or deleted something was a person: `line.py` says what becomes of the line.

MLflow has no compare-and-set: of two promotions at the same instant the later write wins. Each looks again after its own.
"""

import sys
from collections.abc import Callable

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from crl.errors import DataError
from flows.registry.agents import FILES_TAG, policy
from flows.registry.line import Found, mended
from flows.tracking.database import client_of
from flows.tracking.model_versions import DECISION_TAG, of_record, registered

LINE_TAG = "crl.champions"
FOLLOWED_TAG = "crl.champions.followed"  # the line that the aliases have followed
ROLLED_BACK = "rolled back"  # the tag DECISION_TAG of a version after its rollback
_LONGEST_LINE = 200  # versions; a tag holds 5000 characters
_NONE = "-"  # the tag of a line without versions
BY_HAND = "By hand, in MLflow's pages."


class Champions:
    """Every method mends the line first, and tells what it found. Raises MLflow's errors when the registry does not answer."""

    def __init__(self, uri: str, tell: Callable[[str], None] = lambda line: print(line, file=sys.stderr)) -> None:  # noqa: T201
        self.client = client_of(uri)
        self.rules = policy()
        self.tell = tell

    def line(self) -> tuple[int, ...]:
        """The champions in order; empty when there was none."""
        model = registered(self.client, self.rules.model)
        return _read(model.tags.get(LINE_TAG, _NONE)) if model else ()

    def champion(self) -> ModelVersion | None:
        line = self.repaired()
        return self._version(line[-1]) if line else None

    def find(self, agent_id: str) -> ModelVersion | None:
        """The version of an agent."""
        return of_record(self.client, self.rules.model, agent_id)

    def promote(self, version: int, *, over: int | None) -> None:
        """Make a version the champion. `over`: the champion it was compared with, None for none.

        Raises DataError when the version cannot serve, or when another became champion meanwhile.
        """
        line = self.repaired()
        if (line[-1] if line else None) != over:
            raise DataError(
                f"champion = {_named(line)}, not version {over}: it changed meanwhile. Remedy: evaluate again"
            )
        self._servable(version)
        if version != over:
            self._write((*line, version))

    def rollback(self) -> int:
        """Back to the former champion, all parts at once; returns its version. Raises DataError when there is none.

        What was rolled back becomes champion again by hand only.
        """
        line = self.repaired()
        if len(line) < 2:
            raise DataError(
                f"champion = {_named(line)}: there is no former champion. "
                "Remedy: python -m flows.registry.promotion promote VERSION"
            )
        self._servable(line[-2])
        self.note(line[-1], {DECISION_TAG: ROLLED_BACK}, f"Rolled back to version {line[-2]}.")
        self._write(line[:-1])
        return line[-2]

    def repaired(self) -> tuple[int, ...]:
        """The line as it counts now: what people did in MLflow's pages is recorded in it and told, and the aliases are after it."""
        model = registered(self.client, self.rules.model)
        if model is None:
            return ()
        at, names = _aliases(model), self.rules.aliases
        line, followed = (_read(model.tags.get(tag, _NONE)) for tag in (LINE_TAG, FOLLOWED_TAG))
        versions = frozenset(int(version.version) for version in self.versions())
        now = mended(Found(line, line == followed, at.get(names.champion), at.get(names.former), versions))
        for sentence in now.told:
            self.tell(sentence)
        for version in versions.intersection(now.taken_back):
            self.note(version, {DECISION_TAG: ROLLED_BACK}, BY_HAND)
        if now.chosen:
            self.note(now.chosen, {DECISION_TAG: "promoted", f"{DECISION_TAG}.reason": BY_HAND}, BY_HAND)
        if now.line == line:
            self._follow(now.line)
        else:
            self._write(now.line)
        return now.line

    # ------------------------------------------------------------------ how

    def _write(self, line: tuple[int, ...]) -> None:
        self.client.set_registered_model_tag(self.rules.model, LINE_TAG, _text(line))  # from here on it is done
        self._follow(line)
        if (now := self.line()) != line[-_LONGEST_LINE:]:
            raise DataError(
                f"champion = {_named(now)}: another promotion came at the same moment. "
                "Remedy: python -m flows.registry.promotion status"
            )

    def _follow(self, line: tuple[int, ...]) -> None:
        """Idempotent: what is where it belongs costs nothing."""
        model, name, names = registered(self.client, self.rules.model), self.rules.model, self.rules.aliases
        at, wanted = _aliases(model), dict(zip((names.champion, names.former), reversed(line), strict=False))
        for alias, version in wanted.items():
            if at.get(alias) != version:
                self.client.set_registered_model_alias(name, alias, str(version))
        for alias in {names.champion, names.former} & at.keys() - wanted.keys():
            self.client.delete_registered_model_alias(name, alias)
        if model.tags.get(FOLLOWED_TAG, _NONE) != _text(line):
            self.client.set_registered_model_tag(name, FOLLOWED_TAG, _text(line))

    def _servable(self, version: int) -> None:
        found = self._version(version)
        if found.tags.get(FILES_TAG) != "true":
            raise DataError(
                f"version {version} holds no files: its weights are in the run's checkpoint alone. Remedy: `dvc repro evaluate` "
                "registers what co_evolve put out, with its files"
            )

    def _version(self, version: int) -> ModelVersion:
        try:
            return self.client.get_model_version(self.rules.model, str(version))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise DataError(
                f"version {version} of {self.rules.model} does not exist (any more). "
                "Remedy: python -m flows.registry.promotion status lists those that do"
            ) from None

    def versions(self) -> list[ModelVersion]:
        """All versions, the newest first."""
        found = self.client.search_model_versions(f"name = '{self.rules.model}'")
        return sorted(found, key=lambda version: -int(version.version))

    def note(self, version: int, tags: dict[str, str], description: str = "") -> None:
        """Write a decision's figures to the version. The decision's own tag comes first: it keeps the version."""
        for tag, value in sorted(tags.items(), key=lambda item: item[0] != DECISION_TAG):
            self.client.set_model_version_tag(self.rules.model, str(version), tag, value)
        if description:
            self.client.update_model_version(self.rules.model, str(version), description)


def _named(line: tuple[int, ...]) -> str:
    return f"version {line[-1]}" if line else "none"


def _aliases(model: RegisteredModel) -> dict[str, int]:
    return {alias: int(version) for alias, version in model.aliases.items()}


def _text(line: tuple[int, ...]) -> str:
    return " ".join(map(str, line[-_LONGEST_LINE:])) or _NONE


def _read(text: str) -> tuple[int, ...]:
    words = text.replace(_NONE, " ").split()
    if not all(word.isdecimal() for word in words):
        raise DataError(
            f"{LINE_TAG} = {text!r}: not a line of versions. Remedy: in MLflow's pages, give this tag of the model the versions "
            "that served, oldest first, such as `1 4`"
        )
    return tuple(map(int, words))
