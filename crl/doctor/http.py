"""Questions to servers: is a port open, what does an HTTP server answer."""

import json
import socket
from typing import Any

import httpx

FAULTS = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError)  # what `ask` raises when nobody answers over HTTP
_LONGEST_ANSWER = 1 << 20  # bytes; what a server says is not trusted


def ask(url: str, timeout_s: float, payload: object = None, **login: Any) -> tuple[httpx.Response, Any]:
    """GET, or POST of `payload` as JSON: the answer, and its body as JSON or None. Raises FAULTS.

    `login` is httpx's `auth` or `headers`; without `auth`, user and password in the address are used.
    """
    method = "GET" if payload is None else "POST"
    with httpx.stream(method, url, json=payload, timeout=timeout_s, follow_redirects=True, **login) as answer:
        body = next(answer.iter_bytes(_LONGEST_ANSWER), b"")
    try:
        return answer, json.loads(body)
    except ValueError:
        return answer, None


def bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def shown(url: str) -> str:
    """The address without the user and the password that it may hold."""
    return str(httpx.URL(url).copy_with(userinfo=b""))


def closed(host: str, port: int, timeout_s: float) -> str:
    """Why nobody can be reached there; empty when somebody can."""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""
