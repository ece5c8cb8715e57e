"""One request in vLLM's terms: the same for its Python interface and for its HTTP interface."""

from collections.abc import Sequence
from typing import Any

from crl.engine.protocol import Sampling
from crl.engine.session import Request
from crl.errors import EngineError

COLDEST = 0.01  # below it vLLM samples at another temperature than it is told
_NEVER = -100.0  # the lowest that its HTTP interface takes: e^-100 of what the model says
_SEED_MASK = (1 << 63) - 1


def settings(
    sampling: Sampling, room: int, *, end_ids: frozenset[int], never_ids: Sequence[int] = ()
) -> dict[str, Any]:
    """vLLM's sampling parameters. `room`: tokens that the context still takes. Raises EngineError."""
    if 0 < sampling.temperature < COLDEST:
        raise EngineError(
            f"temperature = {sampling.temperature}: vLLM samples at {COLDEST} at least. Remedy: 0 for greedy, or raise it"
        )
    return {
        "max_tokens": min(sampling.max_new_tokens, room),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": sampling.seed & _SEED_MASK,
        "logprobs": 0,  # of the sampled token alone
        "stop": list(sampling.stop),
        "stop_token_ids": sorted(end_ids),
        "ignore_eos": True,  # `end_ids` say what ends a turn
        "logit_bias": {index: _NEVER for index in never_ids} or None,  # log-probs are taken before it
        "include_stop_str_in_output": True,
        "skip_special_tokens": False,  # stop strings may be special
        "spaces_between_special_tokens": False,
    }


def finish(request: Request, token_ids: list[int], logprobs: list[float], reason: str | None) -> None:
    """Write what was generated into the request and its context. Raises EngineError for an answer that is none."""
    if reason not in ("stop", "length") or not token_ids or len(token_ids) != len(logprobs):
        raise EngineError(
            f"vLLM ended request {request.id} with reason {reason!r}, {len(token_ids)} tokens and {len(logprobs)} "
            "log-probs. Remedy: see the server's log"
        )
    request.token_ids, request.logprobs, request.stop_reason = token_ids, logprobs, reason
    request.context.history.extend(token_ids)
