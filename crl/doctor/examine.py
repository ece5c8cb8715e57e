"""All checks that the parameters need, at once, each with a deadline."""

import threading
import time
from collections.abc import Collection
from dataclasses import replace

from crl.doctor import accelerator, data, machine, models, servers, versions
from crl.doctor.registry import CHECKS, Finding, Situation
from crl.errors import CrlError

PARTS = (machine, versions, accelerator, servers, models, data)  # importing them entered their checks


def examine(situation: Situation, only: Collection[str] = ()) -> list[Finding]:
    """The findings of all checks (or of `only`), in the order of PARTS. A late check is a failure."""
    order = [part.__name__ for part in PARTS]
    chosen = sorted(only or CHECKS, key=lambda name: order.index(CHECKS[name].__module__))
    found: dict[str, list[Finding]] = {}
    threads = [threading.Thread(target=_one, args=(name, situation, found), daemon=True) for name in chosen]
    for thread in threads:
        thread.start()
    end = time.monotonic() + situation.deadline_s
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    answered = dict(found)  # a late thread may still write
    remedy = "what it asks hangs, or this machine is overloaded: look at it, or give more time (--deadline)"
    late = [Finding("fail", f"no answer within {situation.deadline_s:g} s", remedy=remedy)]
    return [replace(finding, check=finding.check or name) for name in chosen for finding in answered.get(name, late)]


def _one(name: str, situation: Situation, found: dict[str, list[Finding]]) -> None:
    try:
        found[name] = list(CHECKS[name](situation))
    except CrlError as error:  # of this library: its message ends with its remedy
        seen, _, remedy = str(error).partition("Remedy: ")
        found[name] = [Finding("fail", seen.strip().rstrip("."), remedy=remedy or "see the message")]
    except Exception as error:  # noqa: BLE001  one broken check must not hide what the others found
        seen = f"the check itself failed: {error!r}"
        found[name] = [Finding("fail", seen, remedy="report this, with the parameters")]
