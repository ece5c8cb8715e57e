"""One question to a server, and what its answer means for a check."""

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

_LONGEST_ANSWER = 1 << 20  # bytes; what a server says is not trusted


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer, or why there is none."""

    status: int | None  # None: nobody answered
    reason: str = ""
    value: Any = None  # the body as JSON; None where it is none
    date_s: float | None = None  # the server's clock, seconds since 1970

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def ask(url: str, timeout_s: float, payload: object = None, **login: Any) -> Answer:
    """GET, or POST of `payload` as JSON; `login` is httpx's `auth` or `headers`. Never raises for server or network.

    Without `auth`, user and password in the address are used.
    """
    method = "GET" if payload is None else "POST"
    try:
        with httpx.stream(method, url, json=payload, timeout=timeout_s, follow_redirects=True, **login) as answer:
            body = next(answer.iter_bytes(_LONGEST_ANSWER), b"")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Answer(None, str(error) or type(error).__name__)
    value = date_s = None
    with suppress(ValueError):
        value = json.loads(body)
    with suppress(ValueError):
        date_s = parsedate_to_datetime(answer.headers.get("Date")).timestamp()
    return Answer(answer.status_code, answer.reason_phrase, value, date_s)


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
