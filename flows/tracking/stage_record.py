"""The record of one stage's run: each fact as a call of MLflow's client, on disk when the call here returns."""

import json
import logging
import math
import re
import time
from collections.abc import Mapping
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from crl.config.base import flatten
from crl.episode.transcripts import Trace
from crl.files import digest_file
from crl.types import stable_id
from flows.tracking.records import Method, Record

if TYPE_CHECKING:
    from flows.tracking.recording import Tracker

log = logging.getLogger(__name__)
LONGEST_PARAM = 6000  # characters, MLflow's limit
PARAMS_PER_CALL = 100  # likewise
_METRIC_NAME = re.compile(r"\w[\w.\-/ :]{0,249}")  # likewise; and a name is a path that needs no tidying
Status = Literal["FINISHED", "FAILED", "KILLED"]


class StageRecord:
    """The record of one stage's run: calls of MLflow's client for the run of this key."""

    def __init__(self, tracker: "Tracker", key: str) -> None:
        self.tracker, self.key = tracker, key
        self._told: set[str] = set()  # metrics that were not finite

    def open(self, name: str, start_ms: int, tags: Mapping[str, str], parent: str | None = None) -> None:
        """Begin the run, or go on in the one that this key has. `parent`: key of the parent run."""
        id_ = stable_id(self.key)
        self._call(id_, "create_run", run_name=name, start_time=start_ms, tags=dict(tags), parent=parent)

    def params(self, values: Mapping[str, Any]) -> None:
        """Written once: MLflow refuses to change them."""
        flat = [(name, str(value)[:LONGEST_PARAM]) for name, value in flatten(values)]
        for start in range(0, len(flat), PARAMS_PER_CALL):
            self._call(self._id("params", start), "log_batch", params=dict(flat[start : start + PARAMS_PER_CALL]))

    def tag(self, tags: Mapping[str, str]) -> None:
        """The last value wins."""
        self._call(self._id("tags", *sorted(tags.items())), "log_batch", tags=dict(tags))

    def metrics(
        self, values: Mapping[str, float], *, step: int = 0, at_ms: int | None = None, model: str | None = None,
        dataset: tuple[str, str] | None = None,
    ) -> None:  # fmt: skip
        """One batch, of now: of two values at one step MLflow shows the later, at one time as well it would show the larger.
        What may be recorded again as it is (a round after a kill) gives its own time, and is the same points.

        The gate of all metrics: what is not finite never reaches MLflow, whose filters take NaN for a match and whose stores
        turn infinities into 1.8e308. NaN says that nothing was measured: there is no point. An infinity is recorded as
        `<name>_infinite`, 1 or -1. Both are told once, with the step.

        MLflow refuses a batch whole: a name that it does not take goes alone, and costs no other.

        `model`, `dataset`: the agent (the `id_` of `model`) that they are figures of, and what it was measured on (of `panel`).
        """
        at_ms = at_ms or now_ms()
        self._tell_unrecorded(values, step)
        figures = {f"{name}_infinite" if math.isinf(value) else name: value for name, value in values.items()}
        points = {
            name: [name, math.copysign(1.0, value) if math.isinf(value) else float(value), at_ms, step]
            for name, value in figures.items()
            if not math.isnan(value)
        }
        strange = [name for name in points if not _METRIC_NAME.fullmatch(name) or normpath(name) != name]
        batch = [metric for name, metric in points.items() if name not in strange]
        links = {"model_id": model, "dataset": list(dataset) if dataset else None}
        self._call(self._id("metrics", step), "log_batch", metrics=batch, **links)
        for name in strange:
            self._call(self._id("metrics", step, name), "log_batch", metrics=[points[name]], **links)

    def _tell_unrecorded(self, values: Mapping[str, float], step: int) -> None:
        found = {f"{name} = {value}": value for name, value in values.items() if not math.isfinite(value)}
        fresh = {said: value for said, value in found.items() if said not in self._told}
        self._told.update(fresh)
        if fresh:
            level = logging.WARNING if any(map(math.isinf, fresh.values())) else logging.INFO
            log.log(level, "%s: no number at step %d, told once: %s", self.key, step, ", ".join(fresh))

    def prompts(self, prompts: Mapping[str, Mapping[str, Any]]) -> None:
        """Purpose -> `name`, `digest` and `template` (chat messages): each content is a version of a prompt in MLflow's registry,
        which the run's tags name."""
        id_ = self._id("prompts", *(f"{purpose} {prompt['digest']}" for purpose, prompt in sorted(prompts.items())))
        self._call(
            id_, "create_prompt_versions", prompts={purpose: dict(prompt) for purpose, prompt in prompts.items()}
        )

    def dataset(self, name: str, path: Path, *, context: Literal["training", "evaluation"], rows: int) -> None:
        """`path` inside the repository: it is named, with a digest of its content, and not uploaded."""
        self._dataset(name, digest_file(path), path, context, {"num_rows": rows})

    def panel(self, name: str, digest: str, path: Path, content: Mapping[str, Any]) -> tuple[str, str]:
        """What is played to evaluate, by the digest of its levels, with its content. Returns what `metrics` takes as `dataset`."""
        self._dataset(name, digest, path, "evaluation", content)
        return name, digest

    def _dataset(self, name: str, digest: str, path: Path, context: str, content: Mapping[str, Any]) -> None:
        dataset = [name, digest, "local", json.dumps({"uri": str(path)}), None, json.dumps(content)]
        self._call(self._id("data", name), "log_inputs", dataset=dataset, tags={"mlflow.data.context": context})

    def file(self, path: Path, folder: str) -> None:
        """Keep a file as it is now in a folder of the run's artifacts."""
        id_ = self._id("files", path)
        kept = self.tracker.keep(path, id_[:13])
        self._call(id_, "log_artifact", local_path=kept, artifact_path=folder)

    def model(
        self, id_: str, name: str, path: Path, *, place: str, alias: str, tags: Mapping[str, str],
        serving: Mapping[str, Any] | None, keep: int, step: int,
    ) -> None:  # fmt: skip
        """Register a model folder as a version of `name`: a new one, or the one that `id_` was registered as before. It is a
        logged model of MLflow, too, to which `metrics` and `trace` lead.

        Args:
            place: inside the run's artifacts
            alias: moves to this version unless it is at a newer one
            serving: what makes an MLflow model of the files (`model_versions.pyfunc_folder`); None: they are kept as they are
            keep: newest versions of the same lineage that stay; 0: all
            step: at which the run made it
        """
        kept = self.tracker.keep(path, f"{id_[:13]}-{time.time_ns():x}")  # an earlier copy may still wait
        self._call(
            id_, "create_model_version", name=name, local_dir=kept, artifact_path=place, record_id=id_,
            tags=dict(tags), alias=alias, serving=serving, keep=keep, step=step,
        )  # fmt: skip

    def trace(self, trace: Trace, *, model: str | None = None) -> None:
        id_ = self._id("trace", trace.name)
        spans = [[span.name, int(span.start_s * 1e9), int(span.end_s * 1e9)] for span in trace.spans]
        tags = {f"crl.{name}": value for name, value in trace.tags.items()}
        self._call(
            id_, "start_trace", trace_id=f"tr-{UUID(id_).hex}", name=trace.name, spans=spans, inputs=dict(trace.inputs),
            outputs=dict(trace.outputs), tags=tags, model_id=model,
        )  # fmt: skip

    def close(self, status: Status) -> None:
        self._call(self._id("close", status), "set_terminated", status=status, end_time=now_ms())

    def _id(self, *parts: object) -> str:
        return stable_id(self.key, *parts)

    def _call(self, id_: str, method: Method, **kwargs: Any) -> None:
        self.tracker.add(Record(id_, method, {"run_id": self.key, **kwargs}))


def now_ms() -> int:
    return time.time_ns() // 10**6
