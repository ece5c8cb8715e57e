"""Great Expectations behind four calls. Its import takes 4 s and 280 MB, so it happens at the first gate."""

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from crl.errors import ConfigError
from flows.gates.rules import Rule, Suite

_EXAMPLES_IN_DOCS = 20


class Engine:
    """One context: results as JSON under `docs/results`, pages under `docs`, nothing elsewhere."""

    def __init__(self, docs: Path) -> None:
        self._docs = docs
        try:
            import great_expectations as gx
        except ImportError as error:
            raise ConfigError(
                f"great_expectations: not installed ({error}), and no data enter training unchecked. Remedy: make install"
            ) from error
        self._gx = gx
        self._context = gx.get_context(mode="ephemeral", project_config=_project(docs))
        self._definitions: dict[str, tuple[Sequence[Rule], Any]] = {}

    def validate(self, suite: Suite, run: str, rules: Sequence[Rule], frame: pd.DataFrame) -> list[tuple[Rule, Any]]:
        """Some rules of the suite, each with its result. A result of the same suite and run is replaced."""
        for folder in (self._docs / "results", self._docs / "validations"):
            shutil.rmtree(folder / suite.name / run, ignore_errors=True)
        definition = self._definition(suite.name, rules)
        results = definition.run(
            batch_parameters={"dataframe": frame},
            run_id=self._gx.RunIdentifier(run, datetime.now(UTC)),  # else a name such as "t300" is taken for a date
            result_format={"result_format": "SUMMARY", "partial_unexpected_count": _EXAMPLES_IN_DOCS},
        )
        for file in (self._docs / "results" / suite.name / run).rglob("*.json"):
            body = json.loads(file.read_text())
            file.write_text(json.dumps(body | {"results": _escaped(body["results"])}))
        by_says = {result.expectation_config.description: result for result in results.results}
        return [(rule, by_says[rule.says]) for rule in rules]

    def _definition(self, suite: str, rules: Sequence[Rule]) -> Any:
        """What runs these rules; the last one of a suite is kept, since a round's rules are those of the round before."""
        known, definition = self._definitions.get(suite, ((), None))
        if known != rules:
            asset = self._context.data_sources.add_or_update_pandas(suite).add_dataframe_asset("rows")
            batch = asset.add_batch_definition_whole_dataframe("all")
            definition = self._gx.ValidationDefinition(name=suite, data=batch, suite=self._keep(suite, rules))
            definition = self._context.validation_definitions.add_or_update(definition)
            self._definitions[suite] = rules, definition
        return definition

    def _keep(self, suite: str, rules: Sequence[Rule]) -> Any:
        expectations = list(map(self._expectation, rules))
        return self._context.suites.add_or_update(self._gx.ExpectationSuite(name=suite, expectations=expectations))

    def _expectation(self, rule: Rule) -> Any:
        from great_expectations.expectations.row_conditions import Column

        where = {}
        if rule.where:
            column, comparison, value = rule.where
            where["row_condition"] = Column(column) == value if comparison == "==" else Column(column) != value
        return getattr(self._gx.expectations, rule.expect)(description=rule.says, **rule.args, **where)

    def build(self, runs: Collection[tuple[str, str]], suites: Collection[Suite]) -> Mapping[tuple[str, str], Path]:
        """Draw the pages of these (suite, run), and of whole suites; returns where each run can be read."""
        for suite in suites:
            self._keep(suite.name, suite.all_rules)
            self._definitions.pop(suite.name, None)  # it ran what was kept before
        store = self._context.validation_results_store
        keys = {(key.expectation_suite_identifier.name, key.run_id.run_name): key for key in store.list_keys()}
        wanted = {run: keys[run] for run in runs}
        drawn = [*wanted.values(), *(key.expectation_suite_identifier for key in wanted.values())]
        self._context.build_data_docs(resource_identifiers=drawn, build_index=False)
        shutil.rmtree(
            self._docs / "static", ignore_errors=True
        )  # 4 MB of fonts and pictures that our pages do not show
        return {run: self._page(key.to_tuple()) for run, key in wanted.items()}

    def _page(self, key: tuple[str, ...]) -> Path:
        """Great Expectations only logs what it cannot draw: the result itself is there in any case."""
        page = self._docs.joinpath("validations", *key).with_suffix(".html")
        return page if page.is_file() else self._docs.joinpath("results", *key).with_suffix(".json")


def _project(docs: Path) -> Any:
    from great_expectations.data_context.types.base import DataContextConfig, ProgressBarsConfig

    stores = {
        "suites": _store("ExpectationsStore", {"class_name": "InMemoryStoreBackend"}),
        # On disk, since only results that went through JSON can be drawn: the renderer refuses numpy's numbers.
        "results": _store("ValidationResultsStore", _folder(docs / "results")),
        "checkpoints": _store("CheckpointStore", {"class_name": "InMemoryStoreBackend"}),
        "validation_definition_store": _store("ValidationDefinitionStore", {"class_name": "InMemoryStoreBackend"}),
    }
    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": _folder(docs),
        # By default a run with "profiling" in its name gets no page.
        "site_section_builders": {"profiling": "None", "validations": {"run_name_filter": {"not_equals": "/"}}},
    }
    return DataContextConfig(
        stores=stores,
        expectations_store_name="suites",
        validation_results_store_name="results",
        checkpoint_store_name="checkpoints",
        data_docs_sites={"site": site},
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )


def _escaped(value: Any) -> Any:
    """The renderer puts values into its pages as they are, and some of ours were written by a model."""
    match value:
        case str():
            return escape(value, quote=False)
        case list():
            return [_escaped(item) for item in value]
        case dict():
            return {key: _escaped(item) for key, item in value.items()}
        case _:
            return value


def _store(kind: str, backend: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": kind, "store_backend": backend}


def _folder(path: Path) -> dict[str, Any]:
    return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(path.absolute())}
