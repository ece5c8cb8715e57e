"""Every server that the parameters and the environment name: does it answer, and is it the one that the run needs?

A server that the parameters need is a failure when it does not answer; one that is only named is a warning.
"""

import os
import time
from collections.abc import Generator, Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from crl.bank.stores import store_class
from crl.bank.weaviate import serve
from crl.config.addresses import Addresses, addresses, secret
from crl.doctor.finding import Finding, Situation, Status
from crl.doctor.http import FAULTS, ask, bearer, closed, shown
from crl.doctor.slots import GPU, read_slots
from crl.errors import ConfigError

_SKEW_S = 30.0  # between our clock and a server's: leases and tokens live for a minute


def sandbox(situation: Situation) -> Iterator[Finding]:
    """The Docker engine and the image of SWE tasks' containers. SandboxUnavailable names what is missing and the remedy."""
    if not situation.config.tasks.in_containers:
        return
    from crl.sandbox.engine import DEFAULT_HOST, Engine
    from crl.sandbox.images import resolve

    host, image = situation.environment.get("DOCKER_HOST", DEFAULT_HOST), situation.config.envs.sandbox.image
    found = resolve(Engine(host), image)
    yield Finding("ok", f"{host}, {image} = {found.removeprefix('sha256:')[:12]}")


def weaviate(situation: Situation) -> Iterator[Finding]:
    server, needed = _addresses(situation).weaviate, store_class(situation.config.bank.index).package == "weaviate"
    if server is None:
        if needed:
            yield _embedded()
        return
    worse = _worse(needed)
    meta = yield from _reached(
        situation, server.url, serve.READY_PATH, "/v1/meta", worse=worse, variable="CRL_WEAVIATE_API_KEY",
        headers=bearer(secret("WEAVIATE_API_KEY", situation.environment)),
    )  # fmt: skip
    if meta is None:
        return
    seen = f"Weaviate {meta.get('version', 'of no version')} at {server.url}, gRPC port {server.grpc_port}"
    if reason := closed(server.host, server.grpc_port, situation.patience_s):
        remedy = "name the right port (?grpc=50051), and let it through to this machine"
        yield Finding(worse, f"{seen}: {reason}", "both ports", remedy)
    else:
        yield Finding("ok", f"{seen} is open")


def _embedded() -> Finding:
    """Without an address the client starts Weaviate here, from a program or from what it downloads."""
    try:
        return Finding("ok", f"Weaviate Embedded, from {serve.binary()}")
    except ConfigError as error:
        if os.environ.get(serve.BINARY_VARIABLE):
            raise
        remedy = str(error).partition("Remedy: ")[2]
        return Finding("warn", f"Weaviate Embedded downloads its program ({serve.VERSION}) first", "", remedy)


def vllm(situation: Situation) -> Iterator[Finding]:
    """Raises ConfigError for addresses that are none."""
    named, engine = _addresses(situation).of_models, situation.config.engine
    for role in ("actor", "extractor"):
        if engine.declared.remote and not named[role]:
            seen = f"engine.kind = {engine.kind}, and no server of the {role} is named"
            yield Finding("fail", seen, role, f"make servers, or set servers.{role} or CRL_{role.upper()}_URLS")
    for role, urls in named.items():
        for url in urls:
            yield from _model_server(situation, role, url)


def _model_server(situation: Situation, role: str, url: str) -> Iterator[Finding]:
    worse, where = _worse(situation.config.engine.declared.remote or role == "embedder"), f"{role} at {url}"
    models = yield from _reached(
        situation, url, "/health", "/v1/models", worse=worse, variable="CRL_VLLM_API_KEY", where=where,
        headers=bearer(secret("VLLM_API_KEY", situation.environment)),
    )  # fmt: skip
    if models is None:
        return
    served = {row.get("id"): row.get("max_model_len") for row in models.get("data", ())}
    if role not in served:
        names, remedy = ", ".join(map(str, served)) or "nothing", f"start it with --served-model-name={role}"
        yield Finding(worse, f"{where} serves {names}", f"a model named {role}", remedy)
        return
    # What the parameters want to say at once; an embedder cuts what is too long for it.
    needed = 0 if role == "embedder" else situation.config.role(role).model.context_tokens
    longest = served[role]
    if isinstance(longest, int) and longest < needed:
        remedy = f"start it with --max-model-len={needed}, or lower models.{role}.context_tokens"
        yield Finding(worse, f"{where} takes {longest} tokens", f"{needed}", remedy)
    else:
        yield Finding("ok", f"{where}, {longest} tokens")


def prefect(situation: Situation) -> Iterator[Finding]:
    """Without an address a stage starts a server of its own. `/health` is open, so a page that is not is asked, too."""
    environment = situation.environment
    if not (url := environment.get("PREFECT_API_URL")):
        return
    login: dict[str, Any] = {"headers": bearer(environment.get("PREFECT_API_KEY"))}
    if pair := environment.get("PREFECT_API_AUTH_STRING"):
        login = {"auth": tuple(pair.partition(":")[::2])}
    told = yield from _reached(
        situation, url, "/health", "/flows/count", payload={}, worse="fail", start="make prefect, or unset PREFECT_API_URL",
        variable="PREFECT_API_KEY (Prefect Cloud) or PREFECT_API_AUTH_STRING", **login,
    )  # fmt: skip
    if told is not None:
        yield Finding("ok", shown(url))
        yield from _gpu_slots(situation, url.rstrip("/"), login)


def _gpu_slots(situation: Situation, url: str, login: dict[str, Any]) -> Iterator[Finding]:
    """Slots of the limit that updates share which nobody gives back: a run waits for them."""

    def asked(path: str, payload: object) -> Any:
        answer, told = ask(url + path, situation.patience_s, payload, **login)
        return told if answer.is_success and isinstance(told, dict | list) else None

    if not (slots := read_slots(asked)):
        return
    by_hand = f"prefect global-concurrency-limit update {GPU} --active-slots {slots.taken - slots.lost - slots.unknown}"
    if slots.lost:
        seen = f"{slots.lost} of {slots.taken} taken slots of the limit {GPU} were held by runs that have ended: {slots.ended_told}"
        remedy = f"none: the next run that waits for one frees them within a minute; or {by_hand}"
        yield Finding("warn", seen, "a slot that is given back", remedy)
    if slots.unknown:
        seen = f"{slots.unknown} of {slots.taken} taken slots of the limit {GPU} are held by no run that is known"
        yield Finding("warn", seen, "a slot that is given back", f"when no update runs on this server: {by_hand}")


def mlflow(situation: Situation) -> Iterator[Finding]:
    """A dead tracker never stops a run, which records on disk and sends later: at worst a warning, unless it refuses us."""
    environment = situation.environment
    url = environment.get("MLFLOW_TRACKING_URI", "")
    if not url.startswith("http"):
        return
    login: dict[str, Any] = {}
    if token := environment.get("MLFLOW_TRACKING_TOKEN"):
        url, login = shown(url), {"headers": bearer(token)}
    elif user := environment.get("MLFLOW_TRACKING_USERNAME"):
        login = {"auth": (user, environment.get("MLFLOW_TRACKING_PASSWORD", ""))}
    told = yield from _reached(
        situation, url, "/health", "/api/2.0/mlflow/experiments/search", payload={"max_results": 1}, worse="warn",
        variable="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN", refused="fail",
        start="make servers; until then records wait in runs/spool", **login,
    )  # fmt: skip
    if told is not None:
        yield Finding("ok", shown(url))


def ray(situation: Situation) -> Iterator[Finding]:
    address, needed = _addresses(situation).ray, situation.config.run.task_runner == "ray"
    if address is None and not needed:
        return
    if address is None or address == "auto":
        yield Finding("ok", "a local cluster, started with the run")
        return
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    host, port = parts.hostname or "", parts.port or (10001 if "://" in address else 6379)
    if reason := closed(host, port, situation.patience_s):
        remedy = "ray start --head there, or correct servers.ray / CRL_RAY_ADDRESS (docs/scale.md)"
        yield Finding(_worse(needed), f"{host}:{port}: {reason}", "the head of the cluster", remedy)
    else:
        yield Finding("ok", f"{host}:{port} is open")


def _reached(
    situation: Situation, url: str, health: str, guarded: str, *, worse: Status, variable: str, refused: Status | None = None,
    where: str = "", start: str = "make servers", payload: object = None, **login: Any,
) -> Generator[Finding, None, dict[str, Any] | None]:  # fmt: skip
    """What the page `guarded` tells, which wants the login, once `health` is well; None, with a finding, where it does not.

    `variable` holds the login, `start` is the remedy for a server that is gone.
    """
    base, where = url.rstrip("/"), where or shown(url)
    try:
        answer, told = ask(base + health, situation.patience_s, **login)
        if answer.is_success:
            answer, told = ask(base + guarded, situation.patience_s, payload, **login)
    except FAULTS as error:
        yield Finding(worse, f"{where}: {str(error) or type(error).__name__}", "a server that answers", start)
        return None
    if answer.status_code in (401, 403):
        seen = f"{where} answers {answer.status_code}: it wants other credentials"
        yield Finding(refused or worse, seen, variable, f"set {variable} (for CRL_ names also as NAME_FILE)")
        return None
    if not answer.is_success:
        seen = f"{where} answers {answer.status_code} {answer.reason_phrase}"
        yield Finding(worse, seen, "200", f"see its log; or {start}")
        return None
    yield from _skew(where, answer.headers.get("Date"))
    return told if isinstance(told, dict) else {}


def _skew(where: str, date: str | None) -> Iterator[Finding]:
    """A server's clock that differs from ours."""
    try:
        skew_s = abs(time.time() - parsedate_to_datetime(date).timestamp())
    except ValueError:  # it tells none
        return
    if skew_s > _SKEW_S:
        seen = f"this clock and that of {where} are {skew_s:.0f} s apart"
        yield Finding("warn", seen, f"at most {_SKEW_S:.0f} s", "set both (NTP)", check="clock")


def _addresses(situation: Situation) -> Addresses:
    return addresses(situation.config.servers, situation.environment)


def _worse(needed: bool) -> Status:
    return "fail" if needed else "warn"
