"""A situation to examine, and a server that answers what a test wants."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import reduce
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from crl.config import from_mapping
from crl.config.compose import compose
from crl.doctor import Finding, Situation, examine

ROOT = Path(__file__).parents[2]
Reply = Callable[[str, dict[str, str]], tuple[int, object]]  # path and headers -> status and JSON


@contextmanager
def serving(reply: Reply) -> Iterator[str]:
    """A real HTTP server in the place of Weaviate, vLLM, Prefect or MLflow; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = reply(self.path, dict(self.headers))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        do_POST = do_GET

        def log_message(self, *_) -> None: ...

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_) -> None: ...  # a client that did not wait for the answer

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def quick() -> dict:
    return compose("quick", folder=ROOT / "conf")


@pytest.fixture
def situation(quick, tmp_path):
    """Makes a situation of the quick profile with overrides, in an empty folder, with this environment alone."""

    def make(
        *overrides: str, environment: dict[str, str] | None = None, folder: Path = tmp_path, deadline_s: float = 60
    ):
        values = deepcopy(quick)
        for override in overrides:
            name, _, value = override.partition("=")
            *sections, field = name.split(".")
            reduce(dict.__getitem__, sections, values)[field] = yaml.safe_load(value)
        # The deadline: test machines stall.
        return Situation(from_mapping(values), environment or {}, folder, deadline_s)

    return make


@pytest.fixture
def find(situation):
    """The findings of one check."""

    def run(check: str, *overrides: str, **options) -> list[Finding]:
        return examine(situation(*overrides, **options), only=(check,))

    return run
