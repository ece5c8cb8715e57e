"""`distil/*` and `merge/*` of one round. Shares are NaN when there is nothing to share: absent is not zero."""

from collections import Counter
from collections.abc import Iterable, Sequence

from crl.extractor.distil import Distillation
from crl.extractor.merge import MergeResult
from crl.replies.refusals import Refusal, RefusalReason
from crl.types import OperationKind


def distil_metrics(distillations: Sequence[Distillation]) -> dict[str, float]:
    """Counts, the share of valid replies, and every refusal reason by name (0 when it did not occur)."""
    completions = [item.completion for item in distillations if item.completion is not None]
    count = len(completions)
    kinds = Counter(operation.kind for item in distillations for operation in item.operations)
    return {
        "distil/completions": float(count),
        "distil/valid_share": _share(sum(item.refusal is None for item in distillations), count),
        "distil/cut_share": _share(sum(completion.stop_reason == "length" for completion in completions), count),
        "distil/tokens": float(sum(len(completion.token_ids) for completion in completions)),
        **{f"distil/operations_{kind}": float(kinds[kind]) for kind in OperationKind},
        **_refused("distil", (item.refusal for item in distillations)),
    }


def merge_metrics(results: Sequence[MergeResult]) -> dict[str, float]:
    """Calls by how they ended, and how many entries were to become how many."""
    calls = [call for result in results for call in result.calls]
    chunks = [chunk for result in results for chunk in result.chunks]
    refused = sum(call.refusal is not None for call in calls)
    merged = sum(bool(call.texts) for call in calls)
    return {
        "merge/calls": float(len(calls)),
        "merge/merged": float(merged),
        "merge/unchanged": float(len(calls) - merged - refused),
        "merge/refused": float(refused),
        "merge/entries_in": float(sum(len(chunk.parent_ids) for chunk in chunks)),
        "merge/entries_out": float(sum(len(chunk.texts) for chunk in chunks)),
        **_refused("merge", (call.refusal for call in calls)),
    }


def _refused(prefix: str, refusals: Iterable[Refusal | None]) -> dict[str, float]:
    counts = Counter(refusal.reason for refusal in refusals if refusal)
    return {f"{prefix}/refused_{reason}": float(counts[reason]) for reason in RefusalReason}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
