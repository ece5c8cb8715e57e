"""An episode's timeline as an MLflow trace, with ids that derive from the record's.

MLflow's own exporter sends each span by itself as it ends (a second of CPU for a long episode) and logs faults instead
of raising them. An episode is over when it is recorded, so all its spans go in one request, and a fault is seen.
"""

import json
import uuid

from mlflow.entities import Span, SpanType, TraceInfo, TraceLocation, TraceState
from mlflow.tracing.constant import SpanAttributeKey, TraceMetadataKey

from flows.tracking.records import EpisodeTraced

_SPAN_TYPES = {
    "retrieve": SpanType.RETRIEVER,
    "gate": SpanType.LLM,
    "generate": SpanType.LLM,
    "env_step": SpanType.TOOL,
    "distil": SpanType.LLM,
}


def trace_of(record: EpisodeTraced, experiment: str, run_id: str) -> tuple[TraceInfo, list[Span]]:
    """The trace's description and its spans, the episode first."""
    trace_id = f"tr-{uuid.UUID(record.id).hex}"
    start_ns = min((span.start_ns for span in record.spans), default=0)
    end_ns = max((span.end_ns for span in record.spans), default=start_ns)
    said = {SpanAttributeKey.INPUTS: record.inputs, SpanAttributeKey.OUTPUTS: record.outputs}
    spans = [_span(trace_id, 0, record.name, SpanType.AGENT, start_ns, end_ns, said)]
    for number, span in enumerate(record.spans, start=1):
        kind = _SPAN_TYPES.get(span.name, SpanType.UNKNOWN)
        spans.append(_span(trace_id, number, span.name, kind, span.start_ns, span.end_ns, {}))
    info = TraceInfo(
        trace_id=trace_id,
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=start_ns // 10**6,
        execution_duration=(end_ns - start_ns) // 10**6,
        state=TraceState.OK,
        request_preview=json.dumps(record.inputs),
        response_preview=json.dumps(record.outputs),
        trace_metadata={TraceMetadataKey.SOURCE_RUN: run_id, "mlflow.trace_schema.version": "3"},
        tags={**record.tags, "mlflow.traceName": record.name},
    )
    return info, spans


def _span(
    trace_id: str, number: int, name: str, kind: str, start_ns: int, end_ns: int, said: dict[str, dict[str, str]]
) -> Span:
    """Span `number` of a trace; span 0 is the root and the parent of all others."""
    attributes = {SpanAttributeKey.REQUEST_ID: trace_id, SpanAttributeKey.SPAN_TYPE: kind, **said}
    return Span.from_dict(
        {
            "trace_id": trace_id,
            "span_id": f"{number + 1:016x}",
            "parent_span_id": f"{1:016x}" if number else None,
            "name": name,
            "start_time_unix_nano": start_ns,
            "end_time_unix_nano": end_ns,
            "status": {"code": "STATUS_CODE_OK"},
            "attributes": {key: json.dumps(value) for key, value in attributes.items()},
        }
    )
