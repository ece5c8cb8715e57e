"""From a request that ended to whoever awaits it."""

from collections import defaultdict
from collections.abc import Iterable

from crl.engine.scheduler import Request
from crl.engine.text import TokenText
from crl.errors import EngineError
from crl.types import Completion

Answer = Completion | EngineError


def completion_of(request: Request, text: TokenText, end_ids: frozenset[int]) -> Completion:
    """What an ended request generated; an end token is kept in the ids, not in the text."""
    token_ids = request.token_ids
    shown_ids = token_ids[:-1] if token_ids[-1] in end_ids else token_ids
    return Completion(
        id=request.id,
        prompt_ids=request.new_ids,
        token_ids=tuple(token_ids),
        logprobs=tuple(request.logprobs),
        text=text.decode(shown_ids),
        stop_reason=request.stop_reason,
        version=request.version,
        temperature=request.sampling.temperature,
    )


def fault(error: Exception) -> EngineError:
    wrapped = EngineError(f"generation failed: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


def resolve(answers: Iterable[tuple[Request, Answer]]) -> None:
    """On the event loop that the futures belong to."""
    for request, answer in answers:
        if request.future.done():
            continue
        if isinstance(answer, EngineError):
            request.future.set_exception(answer)
        else:
            request.future.set_result(answer)


def resolve_threadsafe(answers: Iterable[tuple[Request, Answer]]) -> None:
    """From any thread: one call per event loop, however many requests ended."""
    by_loop = defaultdict(list)
    for request, answer in answers:
        by_loop[request.future.get_loop()].append((request, answer))
    for loop, own in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(resolve, own)
