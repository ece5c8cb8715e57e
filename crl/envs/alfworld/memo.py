"""What makes textworld's PDDL engine fast without changing what it says: nothing is parsed or translated twice.

Stock (textworld 1.7.0), every step parses the same text templates again with TatSu and copies the whole context
deeply, and every reset translates the problem twice: once to play it and once for a planner that nobody asks.
The replacements below are in place only inside `memoised()`; tests compare their outputs with the stock engine's.
"""

import contextlib
import copy
import gc
import pickle
import sys
import zlib
from collections.abc import Iterator
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import fast_downward
import mementos.core
from textworld.envs.pddl import logic, textgen

_TEXTS = 50_000  # parsed templates; a game has a few hundred
_GAMES = 256  # translations, about 60 KB each when packed
_PROPOSITIONS = 20_000  # about 25 MB; a game has about a thousand
_LEVEL = 1  # zlib's fastest: a translation of 1 MB shrinks to about 60 KB

_parse_symbols = lru_cache(_TEXTS)(textgen._parse_and_convert)
_parse_query = lru_cache(_TEXTS)(textgen.Rule.parse_conjunctive_query)
_parse_grammar = lru_cache(16)(logic._parse_and_convert)
_pddl2sas = fast_downward.pddl2sas


@contextlib.contextmanager
def memoised() -> Iterator[None]:
    """Within this block textworld uses the replacements. Hold the interpreter's lock: it swaps module attributes."""
    with contextlib.ExitStack() as undo:
        undo.callback(setattr, sys, "argv", sys.argv)  # the translator overwrites it
        for module, name, replacement in _REPLACEMENTS:
            undo.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, replacement)
        yield


def forget() -> None:
    """Bound what textworld keeps for ever: each proposition that was ever made (1 MB per game).

    Propositions compare by value, so one that is made again serves as well.
    """
    if len(mementos.core._memento_cache) > _PROPOSITIONS:
        mementos.core._memento_cache.clear()


def _clone(value: Any) -> Any:
    """Copies as deep as textgen writes: symbols get a context of their own, contexts dictionaries of their own."""
    if isinstance(value, list):
        return [_clone(item) for item in value]
    if isinstance(value, dict):
        return dict(value)
    twin = copy.copy(value)
    if isinstance(twin, textgen.ListSymbol):
        twin.symbol = _clone(twin.symbol)
    return twin


def _fresh_symbols(start: str, rule_name: str, trace: bool = False) -> list:
    return _clone(_parse_symbols(start, rule_name=rule_name))


def _translate(domain: str, problem: str, verbose: bool = False, optimize: bool = False) -> tuple[Any, str]:
    """One translation serves all resets of a game; the planner's (`optimize`) is never made."""
    if optimize:
        return None, ""
    return pickle.loads(zlib.decompress(_translation(domain, problem)))


@lru_cache(_GAMES)
def _translation(domain: str, problem: str) -> bytes:
    """What the interpreter reads of the translated task, packed: the translator's own objects take megabytes."""
    collecting = gc.isenabled()
    gc.disable()  # it allocates a million small objects and drops them together: a quarter of the time
    try:
        task, sas = _pddl2sas(domain, problem)
    finally:
        if collecting:
            gc.enable()
    kept = SimpleNamespace(
        actions=[SimpleNamespace(name=action.name, parameters=action.parameters) for action in task.actions],
        types=task.types,
        objects=task.objects,
        init=task.init,
    )
    return zlib.compress(pickle.dumps((kept, sas)), _LEVEL)


_REPLACEMENTS = (
    (textgen, "deepcopy", _clone),
    (textgen, "_parse_and_convert", _fresh_symbols),
    (textgen, "Rule", SimpleNamespace(parse_conjunctive_query=_parse_query)),
    (logic, "_parse_and_convert", _parse_grammar),
    (fast_downward, "pddl2sas", _translate),
)
