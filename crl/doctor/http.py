"""One question to a server over HTTP, and what its answer means for a check."""

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_LONGEST_ANSWER = 1 << 20  # bytes; what a server says is not trusted


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer, or why there is none."""

    status: int | None  # None: nobody answered
    body: bytes = b""
    reason: str = ""
    date_s: float | None = None  # the server's clock, seconds since 1970

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """The server wants other credentials, or any."""
        return self.status in (401, 403)

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def ask(url: str, timeout_s: float, headers: Mapping[str, str] | None = None, payload: object = None) -> Answer:
    """GET, or POST of `payload` as JSON. Never raises for what the server or the network does."""
    address, found = without_credentials(url)
    request = urllib.request.Request(address, headers={**found, **(headers or {})})
    if payload is not None:
        request.data = json.dumps(payload).encode()
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return Answer(answer.status, answer.read(_LONGEST_ANSWER), date_s=_date(answer.headers.get("Date")))
    except urllib.error.HTTPError as error:
        return Answer(error.code, reason=str(error.reason), date_s=_date(error.headers.get("Date")))
    except urllib.error.URLError as error:
        return Answer(None, reason=str(getattr(error.reason, "strerror", None) or error.reason))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(None, reason=str(error) or type(error).__name__)


def without_credentials(url: str) -> tuple[str, dict[str, str]]:
    """The address that may be shown, and the header that carries what user and password it held."""
    parts = urlsplit(url)
    if parts.username is None and parts.password is None:
        return url, {}
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host)), basic(parts.username or "", parts.password or "")


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None
