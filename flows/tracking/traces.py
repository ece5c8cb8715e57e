"""An episode's timeline as an MLflow trace, with ids that derive from the record's.

MLflow's own exporter sends each span by itself as it ends (a second of CPU for a long episode) and logs faults instead
of raising them. An episode is over when it is recorded, so all its spans go in one request, and a fault is seen.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow.entities import Span, SpanType, TraceInfo, TraceLocation, TraceState
from mlflow.tracing.constant import SpanAttributeKey, TraceMetadataKey

_SPAN_TYPES = {
    "retrieve": SpanType.RETRIEVER,
    "gate": SpanType.LLM,
    "generate": SpanType.LLM,
    "env_step": SpanType.TOOL,
    "distil": SpanType.LLM,
}


def episode_trace(
    trace_id: str, name: str, spans: Sequence[tuple[str, int, int]], inputs: Mapping[str, str], outputs: Mapping[str, str], *,
    experiment: str, run_id: str, tags: Mapping[str, str], model_id: str | None = None,
) -> tuple[TraceInfo, list[Span]]:  # fmt: skip
    """The episode, and below it its spans, which are given as (name, start, end) in ns."""
    start = min((start for _, start, _ in spans), default=0)
    end = max((end for _, _, end in spans), default=start)
    said = {SpanAttributeKey.INPUTS: inputs, SpanAttributeKey.OUTPUTS: outputs}
    of_model = {TraceMetadataKey.MODEL_ID: model_id} if model_id else {}
    info = TraceInfo(
        trace_id=trace_id,
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=start // 10**6,
        execution_duration=(end - start) // 10**6,
        state=TraceState.OK,
        request_preview=json.dumps(inputs),
        response_preview=json.dumps(outputs),
        trace_metadata={TraceMetadataKey.SOURCE_RUN: run_id, "mlflow.trace_schema.version": "3", **of_model},
        tags={**tags, "mlflow.traceName": name},
    )
    below = (
        _span(trace_id, number, span, _SPAN_TYPES.get(span[0], SpanType.UNKNOWN), {})
        for number, span in enumerate(spans, start=1)
    )
    return info, [_span(trace_id, 0, (name, start, end), SpanType.AGENT, said), *below]


def _span(trace_id: str, number: int, span: tuple[str, int, int], kind: str, said: Mapping[str, Any]) -> Span:
    """Span `number` of a trace; span 0 is the root and the parent of all others."""
    name, start, end = span
    attributes = {SpanAttributeKey.REQUEST_ID: trace_id, SpanAttributeKey.SPAN_TYPE: kind, **said}
    return Span.from_dict(
        {
            "trace_id": trace_id,
            "span_id": f"{number + 1:016x}",
            "parent_span_id": f"{1:016x}" if number else None,
            "name": name,
            "start_time_unix_nano": start,
            "end_time_unix_nano": end,
            "status": {"code": "STATUS_CODE_OK"},
            "attributes": {key: json.dumps(value) for key, value in attributes.items()},
        }
    )
