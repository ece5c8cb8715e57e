"""Every server that the parameters and the environment name: does it answer, and is it the one that the run needs?

A server that the parameters need is a failure when it does not answer; one that is only named is a warning.
"""

import os
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from crl.bank.stores import store_class
from crl.config.addresses import Addresses, WeaviateAddress, addresses, secret
from crl.doctor.http import Answer, ask, basic, bearer, without_credentials
from crl.doctor.registry import Finding, Situation, Status, check
from crl.errors import ConfigError

_SKEW_S = 30.0  # between our clock and a server's: leases and tokens live for a minute


def _addresses(situation: Situation) -> Addresses:
    return addresses(situation.config.servers, situation.environment)


def _needs_weaviate(situation: Situation) -> bool:
    return store_class(situation.config.bank.index).package == "weaviate"


def _needs_vllm(situation: Situation) -> bool:
    return situation.config.engine.declared.remote


@check("weaviate", needed=lambda situation: _needs_weaviate(situation) or bool(_addresses(situation).weaviate))
def weaviate(situation: Situation) -> Iterator[Finding]:
    server, worse = _addresses(situation).weaviate, _worse(_needs_weaviate(situation))
    if server is None:
        yield _embedded()
        return
    key = bearer(secret("WEAVIATE_API_KEY", situation.environment))
    ready = ask(f"{server.url}/v1/.well-known/ready", situation.patience_s)
    meta = ask(f"{server.url}/v1/meta", situation.patience_s, key) if ready.ok else ready
    if not meta.ok:
        yield _unwell("weaviate", server.url, meta, worse, "CRL_WEAVIATE_API_KEY", "make servers")
        return
    version = (meta.json() or {}).get("version", "of no version")
    yield from _skew("weaviate", meta)
    yield _grpc(server, situation.patience_s, worse, f"Weaviate {version} at {server.url}")


def _grpc(server: WeaviateAddress, patience_s: float, worse: Status, seen: str) -> Finding:
    if reason := _closed(server.host, server.grpc_port, patience_s):
        remedy = "name the right port (?grpc=50051), and let it through to this machine"
        return Finding("weaviate", worse, f"{seen}, but gRPC port {server.grpc_port}: {reason}", "both ports", remedy)
    return Finding("weaviate", "ok", f"{seen}, gRPC port {server.grpc_port} is open")


def _embedded() -> Finding:
    """Without an address the client starts Weaviate here, from a program or from what it downloads."""
    from crl.bank.weaviate.serve import BINARY_VARIABLE, VERSION, binary

    try:
        return Finding("weaviate", "ok", f"Weaviate Embedded, from {binary()}")
    except ConfigError as error:
        if os.environ.get(BINARY_VARIABLE):
            raise
        remedy = str(error).partition("Remedy: ")[2]
        return Finding("weaviate", "warn", f"Weaviate Embedded downloads its program ({VERSION}) first", "", remedy)


@check("vllm", needed=lambda situation: _needs_vllm(situation) or bool(_named_models(situation)))
def vllm(situation: Situation) -> Iterator[Finding]:
    """Raises ConfigError for addresses that are none."""
    named = _named_models(situation)
    for role in ("actor", "extractor"):
        if _needs_vllm(situation) and not named.get(role):
            seen = f"engine.kind = {situation.config.engine.kind}, and no server of the {role} is named"
            remedy = f"make servers, or set servers.{role} or CRL_{role.upper()}_URLS"
            yield Finding("vllm", "fail", seen, role, remedy)
    for role, urls in named.items():
        for url in urls:
            yield from _model_server(situation, role, url)


def _named_models(situation: Situation) -> dict[str, tuple[str, ...]]:
    return {role: urls for role, urls in _addresses(situation).of_models.items() if urls}


def _model_server(situation: Situation, role: str, url: str) -> Iterator[Finding]:
    worse, patience_s = _worse(_needs_vllm(situation) or role == "embedder"), situation.patience_s
    key = bearer(secret("VLLM_API_KEY", situation.environment))
    health = ask(f"{url}/health", patience_s, key)
    models = ask(f"{url}/v1/models", patience_s, key) if health.ok else health
    if not models.ok:
        yield _unwell("vllm", f"{role} at {url}", models, worse, "CRL_VLLM_API_KEY", "make servers")
        return
    yield from _skew("vllm", models)
    served = {row.get("id"): row.get("max_model_len") for row in (models.json() or {}).get("data", ())}
    if role not in served:
        names, remedy = ", ".join(map(str, served)) or "nothing", f"start it with --served-model-name={role}"
        yield Finding("vllm", worse, f"{role} at {url} serves {names}", f"a model named {role}", remedy)
        return
    needed, longest = _context_tokens(situation, role), served[role]
    if isinstance(longest, int) and longest < needed:
        remedy = f"start it with --max-model-len={needed}, or lower models.{role}.context_tokens"
        yield Finding("vllm", worse, f"{role} at {url} takes {longest} tokens", f"{needed}", remedy)
    else:
        yield Finding("vllm", "ok", f"{role} at {url}, {longest} tokens")


def _context_tokens(situation: Situation, role: str) -> int:
    """What the parameters want to say at once; an embedder cuts what is too long for it."""
    return 0 if role == "embedder" else situation.config.role(role).model.context_tokens


@check("prefect", needed=lambda situation: bool(situation.environment.get("PREFECT_API_URL")))
def prefect(situation: Situation) -> Iterator[Finding]:
    """Without an address a stage starts a server of its own. `/health` is open, so a page that is not is asked, too."""
    url, environment = situation.environment["PREFECT_API_URL"].rstrip("/"), situation.environment
    headers = bearer(environment.get("PREFECT_API_KEY"))
    if login := environment.get("PREFECT_API_AUTH_STRING"):
        headers = basic(*login.partition(":")[::2])
    answer = ask(f"{url}/health", situation.patience_s, headers)
    if answer.ok:
        answer = ask(f"{url}/flows/count", situation.patience_s, headers, payload={})
    variable = "PREFECT_API_KEY (Prefect Cloud) or PREFECT_API_AUTH_STRING"
    yield from _plain("prefect", url, answer, variable, "make prefect, or unset PREFECT_API_URL")


@check("mlflow", needed=lambda situation: situation.environment.get("MLFLOW_TRACKING_URI", "").startswith("http"))
def mlflow(situation: Situation) -> Iterator[Finding]:
    """A dead tracker never stops a run, which records on disk and sends later: at worst a warning, unless it refuses us."""
    environment = situation.environment
    url, headers = without_credentials(environment["MLFLOW_TRACKING_URI"].rstrip("/"))
    if token := environment.get("MLFLOW_TRACKING_TOKEN"):
        headers = bearer(token)
    elif user := environment.get("MLFLOW_TRACKING_USERNAME"):
        headers = basic(user, environment.get("MLFLOW_TRACKING_PASSWORD", ""))
    answer = ask(f"{url}/health", situation.patience_s, headers)
    if answer.ok:
        search = f"{url}/api/2.0/mlflow/experiments/search"
        answer = ask(search, situation.patience_s, headers, payload={"max_results": 1})
    variable = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    worse: Status = "fail" if answer.refused else "warn"
    yield from _plain("mlflow", url, answer, variable, "make servers; until then records wait in runs/spool", worse)


@check("ray", needed=lambda situation: situation.config.run.task_runner == "ray" or bool(_addresses(situation).ray))
def ray(situation: Situation) -> Iterator[Finding]:
    address = _addresses(situation).ray
    if address is None or address == "auto":
        yield Finding("ray", "ok", "a local cluster, started with the run")
        return
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    host, port = parts.hostname or "", parts.port or (10001 if "://" in address else 6379)
    if reason := _closed(host, port, situation.patience_s):
        remedy = "ray start --head there, or correct servers.ray / CRL_RAY_ADDRESS (docs/scale.md)"
        worse = _worse(situation.config.run.task_runner == "ray")
        yield Finding("ray", worse, f"{host}:{port}: {reason}", "the head of the cluster", remedy)
    else:
        yield Finding("ray", "ok", f"{host}:{port} is open")


def _plain(name: str, url: str, answer: Answer, variable: str, start: str, worse: Status = "fail") -> Iterator[Finding]:
    if answer.ok:
        yield from _skew(name, answer)
        yield Finding(name, "ok", url)
    else:
        yield _unwell(name, url, answer, worse, variable, start)


def _unwell(name: str, where: str, answer: Answer, worse: Status, variable: str, start: str) -> Finding:
    if answer.refused:
        seen = f"{where} answers {answer.status}: it wants other credentials"
        return Finding(name, worse, seen, variable, f"set {variable} (for CRL_ names also as NAME_FILE)")
    if answer.status is None:
        return Finding(name, worse, f"{where}: {answer.reason}", "a server that answers", start)
    return Finding(name, worse, f"{where} answers {answer.status} {answer.reason}", "200", f"see its log; or {start}")


def _skew(name: str, answer: Answer) -> Iterator[Finding]:
    if answer.date_s is not None and abs(skew_s := time.time() - answer.date_s) > _SKEW_S:
        seen = f"this clock and that of {name} are {abs(skew_s):.0f} s apart"
        yield Finding("clock", "warn", seen, f"at most {_SKEW_S:.0f} s", "set both (NTP)")


def _closed(host: str, port: int, patience_s: float) -> str:
    """Why nobody can be reached there; empty when somebody can."""
    try:
        socket.create_connection((host, port), timeout=patience_s).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _worse(needed: bool) -> Status:
    return "fail" if needed else "warn"
