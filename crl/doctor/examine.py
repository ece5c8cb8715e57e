"""All checks that the parameters need, at once, each with a deadline."""

import threading
import time
from collections.abc import Collection

from crl.doctor import accelerator, data, machine, models, sandbox, servers, versions
from crl.doctor.registry import CHECKS, Check, Finding, Situation
from crl.errors import CrlError

PARTS = (machine, versions, accelerator, sandbox, servers, models, data)  # importing them entered their checks


def examine(situation: Situation, only: Collection[str] = ()) -> list[Finding]:
    """The findings of all needed checks (or of `only`), in the order of PARTS. A late check is a failure."""
    order = [part.__name__ for part in PARTS]
    checks = sorted(CHECKS.values(), key=lambda check: order.index(check.examine.__module__))
    chosen = [check for check in checks if not only or check.name in only]
    found: dict[str, list[Finding]] = {}
    threads = [threading.Thread(target=_one, args=(check, situation, found), daemon=True) for check in chosen]
    for thread in threads:
        thread.start()
    end = time.monotonic() + situation.deadline_s
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    answered = dict(found)  # a late thread may still write
    return [finding for check in chosen for finding in answered.get(check.name, [_late(check, situation)])]


def _one(check: Check, situation: Situation, found: dict[str, list[Finding]]) -> None:
    try:
        found[check.name] = list(check.examine(situation)) if check.needed(situation) else []
    except CrlError as error:
        found[check.name] = [of_error(check.name, error)]
    except Exception as error:  # noqa: BLE001  one broken check must not hide what the others found
        found[check.name] = [
            Finding(
                check.name, "fail", f"the check itself failed: {error!r}", remedy="report this, with the parameters"
            )
        ]


def of_error(name: str, error: CrlError) -> Finding:
    """A finding of an error of this library, whose message ends with its remedy."""
    seen, _, remedy = str(error).partition("Remedy: ")
    return Finding(name, "fail", seen.strip().rstrip("."), remedy=remedy or "see the message")


def _late(check: Check, situation: Situation) -> Finding:
    return Finding(
        check.name,
        "fail",
        f"no answer within {situation.deadline_s:g} s",
        remedy="what it asks hangs, or this machine is overloaded: look at it, or give more time (--deadline)",
    )
