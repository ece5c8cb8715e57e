"""Great Expectations behind two calls. Its import takes 4 s and 280 MB, so this module is imported at the first gate."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.expectations.row_conditions import Column
from great_expectations.render.view import DefaultJinjaPageView
from jinja2 import ChoiceLoader, FileSystemLoader

from flows.gates.docs_site import TEMPLATES
from flows.gates.rules import Rule, Suite

_EXAMPLES_IN_DOCS = 20


class OfflinePage(DefaultJinjaPageView):
    """Great Expectations' blocks in a page of ours (`pages/page.j2`), which loads nothing. It is found by name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.env.loader = ChoiceLoader([FileSystemLoader(TEMPLATES), self.env.loader])


class Engine:
    """One context: results as JSON under `docs/results`, pages under `docs`, nothing elsewhere."""

    def __init__(self, docs: Path) -> None:
        self._docs = docs
        self._context = gx.get_context(mode="ephemeral", project_config=_project(docs))
        self._definitions: dict[str, tuple[Sequence[Rule], Any]] = {}

    def validate(self, suite: Suite, run: str, rules: Sequence[Rule], frame: pd.DataFrame) -> list[tuple[Rule, Any]]:
        """Some rules of the suite, each with its result. A result of the same suite and run is replaced."""
        for folder in (self._docs / "results", self._docs / "validations"):
            shutil.rmtree(folder / suite.name / run, ignore_errors=True)
        definition = self._definition(suite.name, rules)
        results = definition.run(
            batch_parameters={"dataframe": frame},
            run_id=gx.RunIdentifier(run, datetime.now(UTC)),  # else a name such as "t300" is taken for a date
            result_format={"result_format": "SUMMARY", "partial_unexpected_count": _EXAMPLES_IN_DOCS},
        )
        # The renderer puts values into its pages as they are, and some of ours were written by a model.
        for file in (self._docs / "results" / suite.name / run).rglob("*.json"):
            file.write_text(escape(file.read_text(), quote=False))
        by_says = {result.expectation_config.description: result for result in results.results}
        return [(rule, by_says[rule.says]) for rule in rules]

    def _definition(self, suite: str, rules: Sequence[Rule]) -> Any:
        """What runs these rules; the last one of a suite is kept, since a round's rules are those of the round before."""
        known, definition = self._definitions.get(suite, ((), None))
        if known != rules:
            asset = self._context.data_sources.add_or_update_pandas(suite).add_dataframe_asset("rows")
            batch = asset.add_batch_definition_whole_dataframe("all")
            definition = gx.ValidationDefinition(name=suite, data=batch, suite=self._keep(suite, rules))
            definition = self._context.validation_definitions.add_or_update(definition)
            self._definitions[suite] = rules, definition
        return definition

    def _keep(self, suite: str, rules: Sequence[Rule]) -> Any:
        expectations = list(map(self._expectation, rules))
        return self._context.suites.add_or_update(gx.ExpectationSuite(name=suite, expectations=expectations))

    def _expectation(self, rule: Rule) -> Any:
        where = {}
        if rule.where:
            column, comparison, value = rule.where
            where["row_condition"] = Column(column) == value if comparison == "==" else Column(column) != value
        return getattr(gx.expectations, rule.expect)(description=rule.says, **rule.args, **where)

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
        shutil.rmtree(self._docs / "static", ignore_errors=True)  # 4 MB of fonts and pictures that no page shows
        return {run: self._page(key.to_tuple()) for run, key in wanted.items()}

    def _page(self, key: tuple[str, ...]) -> Path:
        """Great Expectations only logs what it cannot draw: the result itself is there in any case."""
        page = self._docs.joinpath("validations", *key).with_suffix(".html")
        return page if page.is_file() else self._docs.joinpath("results", *key).with_suffix(".json")


def _project(docs: Path) -> DataContextConfig:
    """Everything in memory but the results: only what went through JSON can be drawn, the renderer refuses numpy's numbers."""
    keep = InMemoryStoreBackendDefaults()
    keep.stores[keep.validation_results_store_name]["store_backend"] = _folder(docs / "results")
    view = {"module_name": OfflinePage.__module__, "class_name": OfflinePage.__name__}
    sections = {
        "profiling": "None",
        "validations": {"view": view, "run_name_filter": {"not_equals": "/"}},  # else none of a run named "profiling"
        "expectations": {"view": view},
    }
    keep.data_docs_sites = {
        "site": {"class_name": "SiteBuilder", "store_backend": _folder(docs), "site_section_builders": sections}
    }
    return DataContextConfig(
        store_backend_defaults=keep, progress_bars=ProgressBarsConfig(globally=False), analytics_enabled=False
    )


def _folder(path: Path) -> dict[str, Any]:
    return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(path.absolute())}
