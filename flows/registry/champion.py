"""The line of champions: which versions of the registered agent served, in order; the last one serves.

The line is one tag of the registered model, so a promotion and a rollback are one write each: before it the old champion
stands, after it the new one. The aliases `champion` and `former` follow the line. A kill before they have done so leaves them at
the old champion, a whole agent, and the next command that looks brings them after the line.

MLflow has no compare-and-set: of two promotions at the same instant the later write wins. Each looks again after its own.
"""

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from crl.errors import DataError
from flows.registry.agents import FILES_TAG, policy
from flows.tracking.model_versions import DECISION_TAG, aliases, of_record, registered

LINE_TAG = "crl.champions"
ROLLED_BACK = "rolled back"  # the tag DECISION_TAG of a version after its rollback
_LONGEST_LINE = 200  # versions; a tag holds 5000 characters


class Champions:
    """Every method brings the aliases after the line first. Raises MLflow's errors when the registry does not answer."""

    def __init__(self, uri: str) -> None:
        self.client = MlflowClient(uri)
        self.rules = policy()

    def line(self) -> tuple[int, ...]:
        """The champions in order; empty when there was none."""
        model = registered(self.client, self.rules.model)
        return tuple(int(number) for number in model.tags.get(LINE_TAG, "").split()) if model else ()

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
        """The line, after aliases that a killed promotion left behind were brought after it."""
        line = self.line()
        if line:
            self._follow(line)
        return line

    # ------------------------------------------------------------------ how

    def _write(self, line: tuple[int, ...]) -> None:
        text = " ".join(map(str, line[-_LONGEST_LINE:]))
        self.client.set_registered_model_tag(self.rules.model, LINE_TAG, text)  # from here on it is done
        self._follow(line)
        if (now := self.line()) != line[-_LONGEST_LINE:]:
            raise DataError(
                f"champion = {_named(now)}: another promotion came at the same moment. "
                "Remedy: python -m flows.registry.promotion status"
            )

    def _follow(self, line: tuple[int, ...]) -> None:
        """Idempotent: an alias that is where it belongs costs nothing."""
        names, at = self.rules.aliases, aliases(self.client, self.rules.model)
        for alias, version in zip((names.champion, names.former), reversed(line), strict=False):
            if at.get(alias) != version:
                self.client.set_registered_model_alias(self.rules.model, alias, str(version))
        if len(line) == 1 and names.former in at:
            self.client.delete_registered_model_alias(self.rules.model, names.former)

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
