"""All checks that the parameters need, at once, each with a deadline."""

import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from crl.doctor import accelerator, chat, data, machine, models, servers, versions
from crl.doctor.finding import Finding, Situation
from crl.errors import CrlError

# In the order in which they are told. A check yields nothing where the parameters do not need it, and may raise CrlError,
# whose message holds the remedy.
CHECKS: dict[str, Callable[[Situation], Iterable[Finding]]] = {
    "memory": machine.memory,
    "disk": machine.disk,
    "run folder": machine.run_folder,
    "weights folder": machine.weights_folder,
    "ports": machine.ports,
    "compiler": machine.compiler,
    "clock": machine.clock,
    "python": versions.python,
    "packages": versions.packages,
    "device": accelerator.device,
    "sandbox": servers.sandbox,
    "weaviate": servers.weaviate,
    "vllm": servers.vllm,
    "prefect": servers.prefect,
    "mlflow": servers.mlflow,
    "ray": servers.ray,
    "models": models.models,
    "chat": chat.chat,
    "credentials": models.credentials,
    "data": data.data,
}


def examine(situation: Situation, only: Collection[str] = ()) -> list[Finding]:
    """The findings of all checks (or of `only`), in the order of CHECKS. A late check is a failure."""
    chosen = [name for name in CHECKS if not only or name in only]
    found: dict[str, list[Finding]] = {}
    if "chat" in chosen:
        chat.warm_up(situation)
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
