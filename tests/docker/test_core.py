"""The images whose bases come from Debian packages, built from the committed Dockerfiles and run as compose.yaml runs them.

The worker is built here without torch (PARTS): its whole set takes minutes and gigabytes, and docs/docker.md has its figures.
"""

import base64
import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.local.process import free_port
from tests.docker.tools import ROOT, compose_arguments, run

SERVICES = ("weaviate", "prefect", "prefect-db", "mlflow", "mlflow-db")
TAG = "test"
BUILDS = {
    "postgres": "",
    "prefect": "",
    "mlflow": "",
    "weaviate": "",
    "worker": "PARTS=cli.names flows.names;PACKAGES=",
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # cold, the images take minutes


class Core:
    """The profiles core and worker under a project name, ports and secrets of this test's own."""

    def __init__(self, folder: Path) -> None:
        self.secrets = folder / "secrets"
        self.ports = {name: free_port() for name in ("PREFECT", "MLFLOW", "WEAVIATE", "WEAVIATE_GRPC")}
        self.environment = {f"CRL_{name}_PORT": str(port) for name, port in self.ports.items()}
        self.environment |= {f"CRL_{role.upper()}_IMAGE": f"crl/{role}:{TAG}" for role in BUILDS}
        self.environment |= {"CRL_SECRETS": str(self.secrets), "COMPOSE_PROJECT_NAME": f"crl-test-{os.getpid()}"}

    def __call__(self, *words: str, timeout_s: float = 550) -> str:
        return run(
            *compose_arguments("core", "worker"), *words, environment=self.environment, timeout_s=timeout_s
        )  # fmt: skip

    def secret(self, name: str) -> str:
        return (self.secrets / name).read_text().strip()

    def get(self, server: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """(status, body) of a request from the host to a published port."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[server]}{path}", headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture(scope="module")
def core(compose: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    if not os.access(ROOT / ".servers/bin/weaviate-server", os.X_OK):
        pytest.skip("no Weaviate server to put into an image. Remedy: docker/weaviate.sh")
    build_images()
    core = Core(tmp_path_factory.mktemp("core"))
    run("docker/secrets.sh", str(core.secrets))
    try:
        core("up", "--detach", "--wait", "--wait-timeout", "500", *SERVICES, "worker")
        yield core
    except AssertionError:
        print(core("logs", "--no-color", "--tail", "30"))
        raise
    finally:
        core("down", "--volumes", "--remove-orphans", "--timeout", "5")


def build_images() -> None:
    """Nothing is built twice: the engine keeps the layers."""
    authorities = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or ""
    run("docker/python-base/build.sh")

    def build(role: str) -> None:
        arguments = {"CRL_VERSION": TAG, "EXTRA_CA": authorities, "BUILD_ARGS": BUILDS[role]}
        run("docker/build.sh", role, environment=arguments)

    with ThreadPoolExecutor(2) as lanes:
        list(lanes.map(build, BUILDS))


def test_mlflow_keeps_its_records_in_postgres(core: Core) -> None:
    assert core.get("MLFLOW", "/health") == (200, "OK")
    core(
        "exec", "mlflow", "python", "-c",
        "import mlflow; mlflow.set_tracking_uri('http://mlflow:5000'); mlflow.create_experiment('kept')",
    )  # fmt: skip
    query = "PGPASSWORD=$(cat /run/secrets/mlflow_db_password) psql -h 127.0.0.1 -U mlflow -Atc 'select name from experiments'"
    assert "kept" in core("exec", "mlflow-db", "bash", "-c", query).split()


def test_mlflow_refuses_a_name_that_is_not_its_own(core: Core) -> None:
    status, _ = core.get("MLFLOW", "/api/2.0/mlflow/experiments/get?experiment_id=0", {"Host": "elsewhere.example"})
    assert status == 403


def test_prefect_answers_only_those_who_hold_the_password(core: Core) -> None:
    basic = base64.b64encode(core.secret("prefect_auth").encode()).decode()
    assert core.get("PREFECT", "/api/admin/version")[0] == 401
    assert core.get("PREFECT", "/api/admin/version", {"Authorization": f"Basic {basic}"}) == (200, '"3.8.8"')
    assert core.get("PREFECT", "/")[0] == 200  # its pages


def test_weaviate_answers_only_those_who_hold_the_key(core: Core) -> None:
    assert core.get("WEAVIATE", "/v1/schema")[0] == 401
    status, schema = core.get("WEAVIATE", "/v1/schema", {"Authorization": f"Bearer {core.secret('weaviate_api_key')}"})
    assert (status, json.loads(schema)) == (200, {"classes": []})


def test_the_worker_polls_its_pool(core: Core) -> None:
    workers = core("exec", "worker", "sh", "/usr/local/bin/start-worker", "prefect", "work-pool", "inspect", "local")
    assert re.search(r"\bREADY\b", workers)  # NOT_READY holds it, too


def test_the_worker_runs_the_library(core: Core) -> None:
    assert "valid" in core("exec", "worker", "crl", "check")


@pytest.mark.parametrize("service", [*SERVICES, "worker"])
def test_a_container_is_neither_root_nor_able_to_change_itself(core: Core, service: str) -> None:
    assert int(core("exec", service, "id", "-u")) >= 999
    for place in ("/etc", "/usr/local/bin", "/opt"):
        refused = subprocess.run(
            [*compose_arguments("core", "worker"), "exec", service, "touch", f"{place}/mark"],
            cwd=ROOT, env=os.environ | core.environment, capture_output=True, text=True,
        )  # fmt: skip
        assert refused.returncode != 0, place
        assert "Read-only file system" in refused.stderr


def test_no_secret_shows_in_settings_logs_or_command_lines(core: Core) -> None:
    ids = core("ps", "--quiet").split()
    seen = (
        run("docker", "inspect", *ids)
        + core("logs", "--no-color")
        + "".join(run("docker", "top", name) for name in ids)
    )
    for file in core.secrets.iterdir():
        assert file.read_text().strip().removeprefix("crl:") not in seen, file.name


def test_images_say_what_they_are(core: Core) -> None:
    for role in BUILDS:
        labels = json.loads(run("docker", "image", "inspect", f"crl/{role}:{TAG}"))[0]["Config"]["Labels"]
        assert labels["org.opencontainers.image.title"] == f"crl-{role}"
        assert labels["org.opencontainers.image.version"] == TAG
        assert labels["org.opencontainers.image.licenses"]
