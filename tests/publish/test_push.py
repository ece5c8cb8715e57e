"""Three repositories are made and filled, over HTTP as the hub's own client speaks it, to a stand-in that keeps what it is sent."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants

from crl.cli.publish import publish
from crl.errors import ConfigError
from crl.publish.folders import push


class Hub(BaseHTTPRequestHandler):
    """What the client asks of the hub when small files are uploaded."""

    def do_POST(self) -> None:
        hub, asked = self.server, self.rfile.read(int(self.headers["Content-Length"]))
        hub.tokens.add(self.headers["Authorization"])
        match self.path.partition("?")[0].strip("/").split("/"):
            case ["api", "repos", "create"]:
                wanted = json.loads(asked)
                hub.made[f"{wanted['organization']}/{wanted['name']}"] = (wanted["type"], wanted["visibility"])
                told = {"url": f"{hub.address}/{wanted['organization']}/{wanted['name']}"}
                if wanted["type"] == "dataset":
                    told["url"] = told["url"].replace(hub.address, f"{hub.address}/datasets")
            case ["api", _, _, _, "preupload", "main"]:
                files = json.loads(asked)["files"]
                told = {
                    "files": [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in files]
                }
            case ["api", _, owner, name, "commit", "main"]:
                rows = [json.loads(line)["value"] for line in asked.splitlines()]
                stored = hub.files.setdefault(f"{owner}/{name}", {})
                stored |= {row["path"]: base64.b64decode(row["content"]) for row in rows if "content" in row}
                told = {"commitUrl": f"{hub.address}/{owner}/{name}/commit/0", "commitOid": "0"}
            case _:
                told = {}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.address, server.made, server.files, server.tokens = f"http://127.0.0.1:{server.server_port}", {}, {}, set()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_three_private_repositories_hold_what_was_written(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    for part in ("actor", "extractor", "bank"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "README.md").write_text("---\nlicense: mit\n---\n# it\n")
        (tmp_path / part / "data.bin").write_bytes(part.encode())
    addresses = push(tmp_path, "ann/room", HfApi(endpoint=hub.address, token="t0ken"))
    assert addresses[0] == f"{hub.address}/ann/room-actor"
    assert hub.made == {
        "ann/room-actor": ("model", "private"),
        "ann/room-extractor": ("model", "private"),
        "ann/room-bank": ("dataset", "private"),
    }
    for part in ("actor", "extractor", "bank"):
        assert hub.files[f"ann/room-{part}"] == {file.name: file.read_bytes() for file in (tmp_path / part).iterdir()}
    assert hub.tokens == {"Bearer t0ken"}


def test_without_a_token_or_with_an_impossible_name_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    for name, told in (("ann/room", "no token"), ("a b/c d", "Remedy: OWNER/NAME")):
        with pytest.raises(ConfigError, match=told):
            publish(tmp_path / "agent", push=name)
    assert list(tmp_path.iterdir()) == []
